import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium, openPage } from '../harness/chromium.js';
import { describeEachDatabase } from '../harness/databases.js';
import { STARTING } from './example-server.js';
import { keyPart, mounted, processOrder, runIdIn, shownRun } from './live-view-page.js';
import { type LiveViewServer, startLiveView } from './live-view-server.js';
import { takePictures } from './pictures.js';
import { onlyAdvances, recordSteps, shownSteps, stepRow, stepsOf } from './run-page.js';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser?.close());

describeEachDatabase('a live view', (kind) => {
  let server: LiveViewServer;
  beforeAll(async () => {
    server = await startLiveView(kind);
  }, STARTING);
  afterAll(() => server?.close());

  const stepsInDatabase = async (runId: string) => stepsOf((await server.pgflow.getRun(runId))!);

  test('a click starts an order; its steps advance without a reload until it is done', async () => {
    await using tab = await openPage(browser, server.url);
    const { page } = tab;
    await mounted(page);
    const seen = await recordSteps(page);

    await processOrder(page, 'breakfast');
    await shownRun(page, 'order', 'completed').waitFor();

    const moments = await seen();
    expect(moments.length).toBeGreaterThan(3);
    expect(moments[0]).toMatchObject({ pack: { status: 'created' }, confirm: { status: 'created' } });
    expect(moments.at(-1)).toMatchObject({ pack: { done: 4 }, confirm: { status: 'completed' } });
    expect(onlyAdvances(moments)).toBe(true);
    expect(await shownSteps(page)).toEqual(await stepsInDatabase(await runIdIn(page, 'order')));
    expect(tab.errors).toEqual([]);
  });

  test('two runs under two keys go on side by side', async () => {
    await using tab = await openPage(browser, server.url);
    const { page } = tab;
    await mounted(page);
    const seen = await recordSteps(page);

    await processOrder(page, 'flaky-bank');
    await page.getByRole('button', { name: 'Send email' }).click();
    await keyPart(page, 'email').getByText('The post office asks to come again').waitFor();
    await stepRow(page, 'charge').getByText('Driftwood Bank did not answer').waitFor();
    await takePictures(tab, `live-view-${kind}-retrying`);
    await shownRun(page, 'email', 'completed').waitFor();
    await shownRun(page, 'order', 'completed').waitFor();

    const moments = await seen();
    expect(onlyAdvances(moments)).toBe(true);
    expect([...new Set(moments.map(({ charge }) => charge?.attempt ?? 0))]).toEqual([0, 1, 2, 3]);
    for (const key of ['order', 'email'] as const) {
      const shown = await shownSteps(keyPart(page, key));
      expect(shown).toEqual(await stepsInDatabase(await runIdIn(page, key)));
    }
    await takePictures(tab, `live-view-${kind}-completed`);
    expect(tab.errors).toEqual([]);
  });

  test('a reload and a second tab show the same run and go on live; HTML alone shows it as of then', {
    timeout: STARTING,
  }, async () => {
    await using first = await openPage(browser, server.url);
    await mounted(first.page);
    await processOrder(first.page, 'office-move');
    await stepRow(first.page, 'pack', 'started').waitFor();
    const runId = await runIdIn(first.page, 'order');
    expect(new URL(first.page.url()).searchParams.get('order')).toBe(runId);

    const served = await (await fetch(first.page.url())).text();
    expect(served).toContain(`data-run="${runId}" data-status="started"`);
    expect(served).toMatch(/data-step="validate" data-status="completed"/);
    const heldForTabs = server.held;

    await using second = await openPage(browser, first.page.url());
    await Promise.all([first.page.reload(), mounted(second.page)]);
    await mounted(first.page);
    await server.holds({ pages: 2, liveRuns: 2, topics: 1 });
    expect(heldForTabs).toMatchObject({ pages: 1, liveRuns: 1, topics: 1 });
    const seen = await Promise.all([recordSteps(first.page), recordSteps(second.page)]);
    await Promise.all([first, second].map(({ page }) => shownRun(page, 'order', 'completed').waitFor()));

    for (const moments of await Promise.all(seen.map((moments) => moments()))) {
      expect(new Set(moments.map(({ pack }) => pack!.done)).size).toBeGreaterThan(2);
      expect(onlyAdvances(moments)).toBe(true);
    }
    const steps = await stepsInDatabase(runId);
    expect(await shownSteps(first.page)).toEqual(steps);
    expect(await shownSteps(second.page)).toEqual(steps);
    expect([...first.errors, ...second.errors]).toEqual([]);
  });
});
