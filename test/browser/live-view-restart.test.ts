import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium, openPage } from '../harness/chromium.js';
import { describeEachDatabase } from '../harness/databases.js';
import { STARTING, startExample } from './example-server.js';
import { mounted, processOrder, runIdIn, shownRun } from './live-view-page.js';
import { takePictures } from './pictures.js';
import { onlyAdvances, recordSteps, stepRow } from './run-page.js';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser?.close());

describeEachDatabase("a live view's server that is killed in the middle of a run", (kind) => {
  test('is reconnected to after its restart; the run goes on and ends right, without a reload', {
    timeout: 2 * STARTING,
  }, async () => {
    await using server = await startExample(kind, 'live-view');
    await using tab = await openPage(browser, server.url);
    const { page } = tab;
    page.setDefaultTimeout(STARTING);
    await mounted(page);
    const seen = await recordSteps(page);
    await processOrder(page, 'office-move');
    await stepRow(page, 'pack').locator('progress:not([value="0"])').waitFor();
    const runId = await runIdIn(page, 'order');

    await server.kill();
    await page.getByText('Reconnecting').waitFor();
    await takePictures(tab, `live-view-${kind}-reconnecting`);
    const whenKilled = (await seen()).at(-1)!;
    await server.startAgain();
    await shownRun(page, 'order', 'completed').waitFor();

    const moments = await seen();
    expect(whenKilled.pack).toMatchObject({ status: 'started' });
    expect(moments.at(-1)).toMatchObject({ pack: { status: 'completed', done: 200 } });
    expect(moments.at(-1)).toMatchObject({ confirm: { status: 'completed', attempt: 1 } });
    expect(onlyAdvances(moments)).toBe(true);
    expect(await runIdIn(page, 'order')).toBe(runId);
    expect(await page.getByText('Reconnecting').count()).toBe(0);

    server.child.kill('SIGTERM');
    expect(await server.child.exited).toEqual({ code: 0, signal: null });
    expect(server.child.output.at(-1)).toBe('Stopped.');
  });
});
