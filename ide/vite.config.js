import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { defineConfig } from 'vite';

const OUTPUT = '../app/web/ide/static';

// Only the compressed form is kept: a quarter of the size in the package, and sent as it is.
function compress() {
  return {
    name: 'compress',
    closeBundle() {
      for (const entry of readdirSync(OUTPUT, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const path = join(entry.parentPath, entry.name);
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
        rmSync(path);
      }
    },
  };
}

// The output is committed: the gateway serves it as it is, without Node and without a network.
// Addresses are relative, so that the page works under any path of a reverse proxy.
export default defineConfig({
  base: './',
  plugins: [compress()],
  build: {
    outDir: OUTPUT,
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 4000,
    assetsInlineLimit: 0,
    license: { fileName: 'licenses.md' },
    modulePreload: { polyfill: false },
    // Dependencies mark React client modules for servers that render pages; nothing is rendered on a server here.
    rollupOptions: { onwarn: (warning, warn) => warning.code === 'MODULE_LEVEL_DIRECTIVE' || warn(warning) },
  },
  worker: { format: 'es' },
});
