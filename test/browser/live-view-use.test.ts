import { PgFlowError } from 'pgflow-live';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { launchChromium, openPage } from '../harness/chromium.js';
import { STARTING } from './example-server.js';
import { keyPart, mounted, processOrder, runIdIn, shownRun } from './live-view-page.js';
import { type LiveViewServer, startLiveView } from './live-view-server.js';
import { takePictures } from './pictures.js';
import { stepRow } from './run-page.js';

/** What a visitor does to the live view, and what it answers. */

let browser: Browser;
let server: LiveViewServer;
beforeAll(async () => {
  [browser, server] = await Promise.all([launchChromium(), startLiveView('pglite')]);
}, STARTING);
afterAll(() => Promise.all([browser?.close(), server?.close()]));

const runIds = async () => (await server.pgflow.listRuns()).runs.map(({ runId }) => runId);

test('before the first start there is no run', async () => {
  await using tab = await openPage(browser, server.url);
  await mounted(tab.page);

  await tab.page.getByText('No order yet').waitFor();
  await tab.page.getByText('No email yet').waitFor();

  await takePictures(tab, 'live-view-empty');
  expect(tab.errors).toEqual([]);
});

test('what is wrong with an input is said beside its field, and nothing is started', async () => {
  await using tab = await openPage(browser, server.url);
  const { page } = tab;
  await mounted(page);
  const before = await runIds();

  await processOrder(page, '<b>tea</b>');
  await keyPart(page, 'order').getByRole('alert').getByText('There is no order "<b>tea</b>".').waitFor();
  await page.getByLabel('Address').fill('ada');
  await page.keyboard.press('Enter');
  await keyPart(page, 'email').getByRole('alert').getByText('This is no address.').waitFor();

  const field = page.getByLabel('Address');
  expect(await field.getAttribute('aria-invalid')).toBe('true');
  expect(await field.inputValue()).toBe('ada');
  expect(await field.evaluate((it) => it === document.activeElement)).toBe(true);
  expect(await page.locator('b').count()).toBe(0);
  expect(await runIds()).toEqual(before);
  await takePictures(tab, 'live-view-refused');
  await processOrder(page, 'breakfast');
  await shownRun(page, 'order').waitFor();
  expect(await keyPart(page, 'order').getByText('There is no order').count()).toBe(0);
});

test('a refused input leaves the run that is shown, and it goes on', async () => {
  await using tab = await openPage(browser, server.url);
  const { page } = tab;
  await mounted(page);
  await processOrder(page, 'breakfast');
  await shownRun(page, 'order').waitFor();
  const runId = await runIdIn(page, 'order');

  await processOrder(page, 'supper');
  await keyPart(page, 'order').getByText('There is no order "supper".').waitFor();
  await shownRun(page, 'order', 'completed').waitFor();

  expect(await runIdIn(page, 'order')).toBe(runId);
});

test('a run that fails says where and why', async () => {
  await using tab = await openPage(browser, server.url);
  const { page } = tab;
  await mounted(page);

  await processOrder(page, 'broken-line');
  await shownRun(page, 'order', 'failed').waitFor();

  await keyPart(page, 'order').getByText('Failed in validate.').waitFor();
  await stepRow(page, 'validate', 'failed').getByText('has the quantity 0').waitFor();
  await stepRow(page, 'confirm', 'created').waitFor();
  await takePictures(tab, 'live-view-failed');
});

test('a form that is sent twice starts one run', async () => {
  await using tab = await openPage(browser, server.url);
  const { page } = tab;
  await mounted(page);
  const before = await runIds();

  await page.evaluate(() => {
    const form = document.querySelector<HTMLFormElement>('[live-submit="process"]')!;
    form.requestSubmit();
    form.requestSubmit();
  });
  await shownRun(page, 'order', 'completed').waitFor();

  expect(await runIds()).toEqual([await runIdIn(page, 'order'), ...before]);
});

test('a new start on a key drops the run before; clearing it leaves nothing, here and in the address', async () => {
  await using tab = await openPage(browser, server.url);
  const { page } = tab;
  await mounted(page);
  await server.holds({ pages: 1, liveRuns: 0, topics: 0 });
  await processOrder(page, 'office-move');
  await shownRun(page, 'order').waitFor();
  const first = await runIdIn(page, 'order');

  await processOrder(page, 'office-move');
  await page.locator(`[data-run]:not([data-run="${first}"])`).waitFor();
  await server.holds({ pages: 1, liveRuns: 1, topics: 1 });
  const second = await runIdIn(page, 'order');
  expect(new URL(page.url()).searchParams.get('order')).toBe(second);
  await keyPart(page, 'order').getByRole('button', { name: 'Clear' }).click();
  await page.getByText('No order yet').waitFor();

  await server.holds({ pages: 1, liveRuns: 0, topics: 0 });
  expect(new URL(page.url()).search).toBe('');
  for (const runId of [first, second]) {
    expect((await server.pgflow.cancelRun(runId)).cancelled).toBe(true);
  }
});

test('a visitor keeps what was unfolded while the run moves on', async () => {
  await using tab = await openPage(browser, server.url);
  const { page } = tab;
  await mounted(page);
  await processOrder(page, 'breakfast');
  const output = stepRow(page, 'validate').locator('details');

  await output.locator('summary').click();
  await shownRun(page, 'order', 'completed').waitFor();

  expect(await output.getAttribute('open')).toBe('');
  expect(await stepRow(page, 'confirm').locator('details').getAttribute('open')).toBe(null);
});

test.each([
  ['an id that no run has', crypto.randomUUID(), 'There is no run'],
  ['what is no id', '"><script>throw 1</script>', 'A runId is a UUID'],
])('%s in the address is said, and nothing is held', async (_name, runId, message) => {
  await using tab = await openPage(browser, `${server.url}/?order=${encodeURIComponent(runId)}`);
  await mounted(tab.page);

  await keyPart(tab.page, 'order').getByRole('alert').getByText(message).waitFor();
  await keyPart(tab.page, 'order').getByText('No order yet').waitFor();

  await server.holds({ pages: 1, liveRuns: 0, topics: 0 });
  expect(tab.errors).toEqual([]);
});

test('a database that is away while the page mounts: it mounts again by itself', async () => {
  const { runId } = await server.pgflow.startFlow('process_order', { orderId: 'breakfast' });
  const away = new PgFlowError('DATABASE_UNAVAILABLE', 'It is away');
  const track = vi.spyOn(server.pgflow, 'track').mockRejectedValueOnce(away);
  const said = vi.spyOn(console, 'error').mockImplementation(() => {});
  onTestFinished(() => {
    track.mockRestore();
    said.mockRestore();
  });

  await using tab = await openPage(browser, `${server.url}/?order=${runId}`);
  await shownRun(tab.page, 'order', 'completed').waitFor();

  expect(track).toHaveBeenCalledTimes(2);
  expect(said).toHaveBeenCalledWith(away);
});

test('without JavaScript the page shows the run as of then', async () => {
  const { runId } = await server.pgflow.startFlow('process_order', { orderId: 'breakfast' });
  const live = await server.pgflow.track(runId);
  await live.waitFor('completed');
  live.close();
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();

  await page.goto(`${server.url}/?order=${runId}`);

  await shownRun(page, 'order', 'completed').waitFor();
  expect(await page.locator('#live-still').count()).toBe(1);
  await context.close();
});
