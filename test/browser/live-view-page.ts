import type { Locator, Page } from 'playwright-core';

/** The part of the live view's page for one key. */
export const keyPart = (page: Page, key: 'order' | 'email'): Locator =>
  page.locator(`section[data-key="${key}"]`);

/** The run that the key shows, once it has that status. */
export const shownRun = (page: Page, key: 'order' | 'email', status?: string): Locator =>
  keyPart(page, key).locator(`[data-run]${status ? `[data-status="${status}"]` : ''}`);

/** Resolves when the page is mounted over its WebSocket. */
export const mounted = (page: Page): Promise<void> => page.locator('#live[data-state="live"]').waitFor();

export async function processOrder(page: Page, orderId: string): Promise<void> {
  await page.getByLabel('Order id').fill(orderId);
  await page.getByRole('button', { name: 'Process order' }).click();
}

export async function runIdIn(page: Page, key: 'order' | 'email'): Promise<string> {
  return (await shownRun(page, key).getAttribute('data-run'))!;
}
