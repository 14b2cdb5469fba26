import { render } from 'preact';
import { App } from './app.js';
import { restoreTheme } from './parts/theme.js';
import './style.css';

/** Puts the console into its page. */

restoreTheme();
render(<App />, document.querySelector('#console')!);
