import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium, openPage } from '../harness/chromium.js';
import { type ExampleServer, STARTING, startExample } from './example-server.js';
import { takePictures } from './pictures.js';
import { finished, runIdOf, runsOnServer, startButton } from './run-page.js';

const STARTS = '**/pgflow/flows/*/runs';

let browser: Browser;
let server: ExampleServer;
beforeAll(async () => {
  [browser, server] = await Promise.all([launchChromium(), startExample('pglite')]);
}, STARTING);
afterAll(() => Promise.all([browser?.close(), server?.close()]));

const idsOnServer = async () => (await runsOnServer(server.url)).map(({ runId }) => runId);

test('a double click starts one run', async () => {
  await using tab = await openPage(browser, server.url);
  const before = await idsOnServer();

  await startButton(tab.page, 'Breakfast for two').dblclick();
  await tab.page.getByRole('heading', { name: 'breakfast', level: 1 }).waitFor();
  await finished(tab.page);

  expect(await idsOnServer()).toEqual([runIdOf(tab.page), ...before]);
});

test('two clicks in a row, and back in between, start one run while the first is not answered', async () => {
  await using tab = await openPage(browser, server.url);
  const { page } = tab;
  const before = await idsOnServer();
  let letThrough = () => {};
  const held = new Promise<void>((resolve) => {
    letThrough = resolve;
  });
  await page.route(STARTS, async (route) => {
    await held;
    await route.continue();
  });

  await startButton(page, 'Breakfast for two').click();
  await page.getByText('Starting the run').waitFor();
  const runId = runIdOf(page);
  await page.goBack();
  await startButton(page, 'Breakfast for two').click();
  await page.getByText('Starting the run').waitFor();
  expect(runIdOf(page)).toBe(runId);
  letThrough();
  await finished(page);

  expect(await idsOnServer()).toEqual([runId, ...before]);
});

test('when the answer to a start is lost, the run is shown all the same', async () => {
  await using tab = await openPage(browser, server.url);
  const { page } = tab;
  const before = await idsOnServer();
  await page.route(STARTS, async (route) => {
    await route.fetch();
    await route.abort();
  });

  await startButton(page, 'Breakfast for two').click();
  await finished(page);

  expect(await idsOnServer()).toEqual([runIdOf(page), ...before]);
});

test('a start that does not reach the server says so, here and beside its button, and can be tried again', async () => {
  await using tab = await openPage(browser, server.url);
  const { page } = tab;
  const before = await idsOnServer();
  await page.route(STARTS, (route) => route.abort());

  await startButton(page, 'Breakfast for two').click();
  await page.getByRole('alert').getByText('/pgflow cannot be reached').waitFor();
  await takePictures(tab, 'not-started');
  const runId = runIdOf(page);
  await page.getByRole('link', { name: 'All orders' }).click();
  await page.locator('.order', { hasText: 'Breakfast' }).getByRole('alert').waitFor();
  await takePictures(tab, 'not-started-list');
  await page.goBack();
  await page.unroute(STARTS);
  await page.getByRole('button', { name: 'Try again' }).click();
  await finished(page);

  expect(await idsOnServer()).toEqual([runId, ...before]);
});

test('an unknown run is missing, and what is no run id says so', async () => {
  await using tab = await openPage(browser, `${server.url}/runs/00000000-0000-4000-8000-000000000000`);

  await tab.page.getByRole('heading', { name: 'No such run' }).waitFor();
  await takePictures(tab, 'missing');

  await tab.page.goto(`${server.url}/runs/breakfast`);
  await tab.page.getByRole('alert').getByText('"breakfast" is not').waitFor();
});

test('the keyboard is enough, and after a change of page it is at the heading', async () => {
  await using tab = await openPage(browser, server.url);
  const { page } = tab;
  await startButton(page, 'Breakfast for two').waitFor();

  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  expect(await startButton(page, 'Breakfast for two').evaluate((it) => it === document.activeElement)).toBe(
    true,
  );
  await page.keyboard.press('Enter');
  const heading = page.getByRole('heading', { name: 'breakfast', level: 1 });
  await heading.waitFor();
  expect(await heading.evaluate((it) => it === document.activeElement)).toBe(true);
  await finished(page);

  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  expect(await page.locator('details[open]').count()).toBe(1);
});
