import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium, openPage } from '../harness/chromium.js';
import { describeEachDatabase } from '../harness/databases.js';
import { type ExampleServer, STARTING, startExample } from './example-server.js';
import { takePictures } from './pictures.js';
import {
  finished,
  onlyAdvances,
  recordSteps,
  runIdOf,
  runOnServer,
  runsOnServer,
  shownSteps,
  startButton,
  stepRow,
  stepsOf,
} from './run-page.js';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser?.close());

describeEachDatabase('the example', (kind) => {
  let server: ExampleServer;
  beforeAll(async () => {
    server = await startExample(kind);
  }, STARTING);
  afterAll(() => server?.close());

  test('before the first start there are orders and no runs', async () => {
    await using tab = await openPage(browser, server.url);

    await tab.page.getByText('No runs yet').waitFor();
    await startButton(tab.page, 'Office move').waitFor();

    await takePictures(tab, `${kind}-empty`);
    expect(tab.errors).toEqual([]);
  });

  test('a click starts an order; its steps advance without a reload until it is done', async () => {
    await using tab = await openPage(browser, server.url);
    const seen = await recordSteps(tab.page);

    await startButton(tab.page, 'Breakfast for two').click();
    await tab.page.getByRole('heading', { name: 'breakfast', level: 1 }).waitFor();
    await finished(tab.page);

    const moments = await seen();
    expect(moments.length).toBeGreaterThan(3);
    expect(moments[0]).toMatchObject({ pack: { status: 'created' }, confirm: { status: 'created' } });
    expect(moments.at(-1)).toMatchObject({ pack: { done: 4 }, confirm: { status: 'completed' } });
    expect(onlyAdvances(moments)).toBe(true);
    const run = await runOnServer(server.url, runIdOf(tab.page));
    expect(run.status).toBe('completed');
    expect(await shownSteps(tab.page)).toEqual(stepsOf(run));
    await takePictures(tab, `${kind}-completed`);
    expect(tab.errors).toEqual([]);
  });

  test('a second tab on the run shows the same and goes on live', async () => {
    await using first = await openPage(browser, server.url);
    await using second = await openPage(browser, server.url);
    await startButton(first.page, 'Office move').click();
    await stepRow(first.page, 'pack', 'started').waitFor();

    await second.page.goto(first.page.url());
    await stepRow(second.page, 'pack', 'started').waitFor();
    const seen = await recordSteps(second.page);
    await takePictures(second, `${kind}-map`);
    await Promise.all([finished(first.page), finished(second.page)]);

    const moments = await seen();
    expect(new Set(moments.map(({ pack }) => pack!.done)).size).toBeGreaterThan(2);
    expect(onlyAdvances(moments)).toBe(true);
    expect(await shownSteps(second.page)).toEqual(await shownSteps(first.page));
    expect(await shownSteps(first.page)).toEqual(stepsOf(await runOnServer(server.url, runIdOf(first.page))));
    expect([...first.errors, ...second.errors]).toEqual([]);
  });

  test('a charge that fails twice is seen to be tried again', async () => {
    await using tab = await openPage(browser, server.url);
    const seen = await recordSteps(tab.page);
    await startButton(tab.page, 'Garden tools').click();

    await stepRow(tab.page, 'charge').getByText('retrying').waitFor();
    await stepRow(tab.page, 'charge').getByText('Driftwood Bank did not answer').waitFor();
    await takePictures(tab, `${kind}-retrying`);
    await finished(tab.page);

    const attempts = (await seen()).map(({ charge }) => charge!.attempt);
    expect([...new Set(attempts)]).toEqual([0, 1, 2, 3]);
    const run = await runOnServer(server.url, runIdOf(tab.page));
    expect(run.step('charge')).toMatchObject({ status: 'completed', attempt: 3, errorMessage: null });
    expect(await shownSteps(tab.page)).toEqual(stepsOf(run));
  });

  test('a charge that fails for good shows its error, and what was not reached', async () => {
    await using tab = await openPage(browser, server.url);
    await startButton(tab.page, 'Winter coat').click();
    await finished(tab.page);

    await tab.page.getByText('Failed in charge. Sunken Bank did not answer (attempt 3)').waitFor();
    await stepRow(tab.page, 'confirm', 'created').getByText('Not reached').waitFor();
    const run = await runOnServer(server.url, runIdOf(tab.page));
    expect(run.error).toMatchObject({
      stepSlug: 'charge',
      message: 'Sunken Bank did not answer (attempt 3)',
    });
    expect(await shownSteps(tab.page)).toEqual(stepsOf(run));
    await takePictures(tab, `${kind}-failed`);
  });

  test('an order that can never succeed fails at its first attempt', async () => {
    await using tab = await openPage(browser, server.url);
    await startButton(tab.page, 'Reading corner').click();
    await finished(tab.page);

    const validate = stepRow(tab.page, 'validate', 'failed');
    await validate.getByText('attempt 1 of 3').waitFor();
    await validate.getByText('Line 2 (Bulb, warm white) has the quantity 0').waitFor();
  });

  test('an input that the flow refuses is explained beside the field, and nothing is started', async () => {
    await using tab = await openPage(browser, server.url);
    const before = await runsOnServer(server.url);

    await tab.page.getByLabel('Another order').fill('no-such-order');
    await tab.page.keyboard.press('Enter');

    const alert = tab.page.locator('form').getByRole('alert');
    await alert.getByText('orderId: There is no order "no-such-order". There are: breakfast').waitFor();
    expect(await runsOnServer(server.url)).toHaveLength(before.length);
    await tab.page.locator('.run-row').first().waitFor();
    await takePictures(tab, `${kind}-list`);

    await tab.page.getByLabel('Another order').fill('breakfast');
    await tab.page.keyboard.press('Enter');
    await tab.page.getByRole('heading', { name: 'breakfast', level: 1 }).waitFor();
  });
});
