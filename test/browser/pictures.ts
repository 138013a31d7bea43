import { expect } from 'vitest';
import type { OpenPage } from '../harness/chromium.js';

const SIZES = { narrow: 360, usual: 1200, wide: 1900 };

/** Takes pictures of a page at each width, light and dark. Nothing may stick out sideways. */
export async function takePictures(tab: OpenPage, name: string): Promise<void> {
  const { page } = tab;
  for (const [size, width] of Object.entries(SIZES)) {
    await page.setViewportSize({ width, height: 900 });
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(sideways, `${name} at ${width} pixels`).toBeLessThanOrEqual(0);
    await tab.screenshot(`${name}-${size}`);
  }
  await page.setViewportSize({ width: SIZES.usual, height: 900 });
  await page.emulateMedia({ colorScheme: 'dark' });
  await tab.screenshot(`${name}-dark`);
  await page.emulateMedia({ colorScheme: 'light' });
}
