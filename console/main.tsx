import { render } from 'preact';
import { App } from './app.js';
import { keepFocus } from './parts/focus-keeper.js';
import { restoreTheme } from './parts/theme.js';
import './style.css';

/** Puts the console into its page. */

restoreTheme();
keepFocus(document);
render(<App />, document.querySelector('#console')!);
