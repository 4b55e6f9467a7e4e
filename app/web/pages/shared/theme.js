// Light, dark, or as the system has it, which is the default; stored in this browser.

const KEY = 'tradegraph:theme';
const NEXT = { system: 'light', light: 'dark', dark: 'system' };

export function wireTheme(button) {
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  button.addEventListener('click', () => {
    const theme = NEXT[document.documentElement.dataset.theme];
    localStorage.setItem(KEY, theme);
    show(theme);
  });
  const stored = localStorage.getItem(KEY);
  show(stored in NEXT ? stored : 'system');
}
