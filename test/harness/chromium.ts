import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];

export const SCREENSHOTS = join(import.meta.dirname, '../../.tmp/screenshots');

/** Where Chromium is: CHROMIUM_PATH, else where systems put it; null when it is nowhere. */
export function findChromium(places = PLACES): string | null {
  const given = process.env.CHROMIUM_PATH;
  if (given && !existsSync(given)) throw new Error(`CHROMIUM_PATH is ${given}, where there is no file.`);
  return given || (places.find((place) => existsSync(place)) ?? null);
}

/** Where Chromium is, after installing it where we may: as root on Debian or Ubuntu. Never gives up silently. */
export function ensureChromium(places = PLACES, mayInstall = isRootOnDebian()): string {
  const found = findChromium(places);
  if (found) return found;
  if (!mayInstall) {
    throw new Error(
      'The browser tests need Chromium. Install Chromium or Google Chrome (on Debian and Ubuntu: ' +
        '`sudo apt-get install chromium`), or set CHROMIUM_PATH to its executable.',
    );
  }
  console.log('Installing Chromium for the browser tests (apt-get install chromium, a minute or two) …');
  aptGet('update');
  aptGet('install', '-y', '--no-install-recommends', 'chromium');
  const installed = findChromium(places);
  if (!installed) throw new Error('apt-get installed chromium, but it is in none of the usual places.');
  return installed;
}

/** Starts Chromium without a window. One for a file of tests is enough; close it in `afterAll`. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: ensureChromium(),
    // A container's /dev/shm is too small for Chromium; its sandbox does not start as root.
    args: ['--disable-dev-shm-usage', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
  });
}

export interface OpenPage extends AsyncDisposable {
  readonly page: Page;
  /** What the page logged as an error or threw. */
  readonly errors: readonly string[];
  /** Saves `.tmp/screenshots/<name>.png`, for a human to look at. */
  screenshot(name: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a page with cookies and storage of its own.
 *
 * @example
 * await using tab = await openPage(browser, server.url);
 * await tab.page.getByText('completed').waitFor();
 * expect(tab.errors).toEqual([]);
 */
export async function openPage(browser: Browser, url: string): Promise<OpenPage> {
  const context = await browser.newContext();
  const close = () => context.close();
  try {
    const page = await context.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    await page.goto(url);
    return {
      page,
      errors,
      async screenshot(name) {
        mkdirSync(SCREENSHOTS, { recursive: true });
        await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function isRootOnDebian(): boolean {
  return process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
}

function aptGet(...args: string[]): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const { status, error } = spawnSync('apt-get', args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error(`apt-get ${args.join(' ')} failed${error ? `: ${error.message}` : '.'}`);
}
