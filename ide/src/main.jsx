import { createRoot } from 'react-dom/client';

import { Ide } from './ide.jsx';
import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './ide.css';

createRoot(document.getElementById('root')).render(<Ide />);
