import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium, openPage } from '../harness/chromium.js';
import { describeEachDatabase } from '../harness/databases.js';
import { STARTING, startExample } from './example-server.js';
import { takePictures } from './pictures.js';
import {
  finished,
  onlyAdvances,
  recordSteps,
  runIdOf,
  runOnServer,
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

describeEachDatabase('a server that is killed in the middle of a run', (kind) => {
  test('is reconnected to after its restart; the run goes on and ends right, without a reload', {
    timeout: 2 * STARTING,
  }, async () => {
    await using server = await startExample(kind);
    await using tab = await openPage(browser, server.url);
    const { page } = tab;
    page.setDefaultTimeout(STARTING);
    const seen = await recordSteps(page);
    await startButton(page, 'Office move').click();
    await stepRow(page, 'pack').locator('progress:not([value="0"])').waitFor();

    await server.kill();
    await page.locator('.freshness', { hasText: 'Reconnecting' }).waitFor();
    await takePictures(tab, `${kind}-reconnecting`);
    const whenKilled = (await seen()).at(-1)!;
    await server.startAgain();
    await finished(page);

    const moments = await seen();
    expect(whenKilled.pack).toMatchObject({ status: 'started' });
    expect(moments.at(-1)).toMatchObject({ pack: { status: 'completed', done: 200 } });
    expect(onlyAdvances(moments)).toBe(true);
    const run = await runOnServer(server.url, runIdOf(page));
    expect(run.status).toBe('completed');
    expect(await shownSteps(page)).toEqual(stepsOf(run));
  });
});
