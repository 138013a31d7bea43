import { ensureChromium } from './chromium.js';

/** Installs Chromium before the browser tests, so that no test waits for it. */
export default function setup(): void {
  console.log(`Browser tests in ${ensureChromium()}`);
}
