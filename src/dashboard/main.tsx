import './language.ts';
import { render } from 'preact';
import { App } from './app.tsx';
import { applyPortalTheme, enterPortal } from './portal.ts';
import { applyTheme } from './theme.ts';

applyTheme();
applyPortalTheme();
await enterPortal();
const root = document.getElementById('app');
if (root !== null) render(<App />, root);
