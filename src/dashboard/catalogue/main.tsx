import '../language.ts';
import { render } from 'preact';
import { applyTheme } from '../theme.ts';
import { App } from './app.tsx';

applyTheme();
const root = document.getElementById('app');
if (root !== null) render(<App />, root);
