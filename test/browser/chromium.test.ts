import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { ensureChromium, findChromium, launchChromium, openPage, SCREENSHOTS } from '../harness/chromium.js';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser?.close());

const pageOf = (html: string) => `data:text/html,${encodeURIComponent(html)}`;

test('a page runs its script, and its errors are kept', async () => {
  await using tab = await openPage(
    browser,
    pageOf(`<p>waiting</p><script>
      document.querySelector('p').textContent = 'ready ' + [1, 2].map((n) => n * 2);
      console.error('logged');
      throw new Error('thrown');
    </script>`),
  );

  await tab.page.getByText('ready 2,4').waitFor();

  expect(tab.errors).toEqual(expect.arrayContaining(['logged', expect.stringContaining('thrown')]));
});

test('a screenshot is a file', async () => {
  const file = join(SCREENSHOTS, 'harness.png');
  rmSync(file, { force: true });
  await using tab = await openPage(browser, pageOf('<h1>PgFlow Live</h1>'));

  await tab.screenshot('harness');

  expect(existsSync(file)).toBe(true);
});

test('closing a tab closes its page', async () => {
  const tab = await openPage(browser, pageOf('<p>here</p>'));
  expect(browser.contexts()).toHaveLength(1);
  await tab.close();
  expect(browser.contexts()).toHaveLength(0);
});

test('Chromium is looked for in order; CHROMIUM_PATH comes first', () => {
  vi.stubEnv('CHROMIUM_PATH', '');
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(findChromium(['/nowhere/chromium', import.meta.filename, '/usr'])).toBe(import.meta.filename);
  expect(findChromium(['/nowhere/chromium'])).toBe(null);

  vi.stubEnv('CHROMIUM_PATH', process.execPath);
  expect(findChromium([import.meta.filename])).toBe(process.execPath);
  vi.stubEnv('CHROMIUM_PATH', '/nowhere/chromium');
  expect(() => findChromium()).toThrow('CHROMIUM_PATH is /nowhere/chromium');
});

test('where it cannot be installed, the error says what to install', () => {
  vi.stubEnv('CHROMIUM_PATH', '');
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(() => ensureChromium(['/nowhere/chromium'], false)).toThrow('sudo apt-get install chromium');
});
