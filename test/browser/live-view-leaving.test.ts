import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { launchChromium, openPage } from '../harness/chromium.js';
import { describeEachDatabase } from '../harness/databases.js';
import { startTcpProxy } from '../harness/tcp-proxy.js';
import { STARTING } from './example-server.js';
import { mounted, processOrder, runIdIn, shownRun } from './live-view-page.js';
import { type LiveViewServer, NOTHING_HELD, startLiveView } from './live-view-server.js';
import { openSocket } from './live-view-socket.js';
import { stepRow } from './run-page.js';

/** Pages that go away in the middle of a run, in every way there is: nothing of them may be left. */

/** The order of 200 lines takes longer than any of these tests. */
const LONG_RUNS = { concurrency: 3 };

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser?.close());

describeEachDatabase('a page that goes', (kind) => {
  let server: LiveViewServer;
  beforeAll(async () => {
    server = await startLiveView(kind, LONG_RUNS);
  }, STARTING);
  afterAll(() => server?.close());

  /** A run that goes on for a while, watched by a page. */
  const openMidRun = async (url = server.url) => {
    const tab = await openPage(browser, url);
    onTestFinished(() => tab.close());
    await mounted(tab.page);
    await processOrder(tab.page, 'office-move');
    await stepRow(tab.page, 'validate', 'completed').waitFor();
    await server.holds({ pages: 1, sockets: 1, liveRuns: 1, topics: 1 });
    return { tab, runId: await runIdIn(tab.page, 'order') };
  };

  const expectRunGoesOn = async (runId: string) => {
    expect((await server.pgflow.getRun(runId))!.status).toBe('started');
    await server.pgflow.cancelRun(runId);
  };

  test('a tab closed mid-run leaves no socket, no live run and no subscription; the run goes on', async () => {
    const { tab, runId } = await openMidRun();

    await tab.close();
    await server.holds(NOTHING_HELD);

    await expectRunGoesOn(runId);
  });

  test('one of two tabs closed leaves the other one live', async () => {
    const { tab, runId } = await openMidRun();
    await using other = await openPage(browser, tab.page.url());
    await mounted(other.page);
    await server.holds({ pages: 2, sockets: 2, liveRuns: 2, topics: 1 });

    await tab.close();
    await server.holds({ pages: 1, sockets: 1, liveRuns: 1, topics: 1 });
    await server.pgflow.cancelRun(runId, { reason: 'enough' });
    await shownRun(other.page, 'order', 'cancelled').waitFor();

    await other.close();
    await server.holds(NOTHING_HELD);
  });

  test('a connection that is cut leaves nothing; the page connects again and subscribes again', async () => {
    const proxy = await startTcpProxy(server.port);
    onTestFinished(() => proxy.close());
    const { tab, runId } = await openMidRun(`http://127.0.0.1:${proxy.port}`);

    proxy.refuse();
    proxy.cut();
    await tab.page.getByText('Reconnecting').waitFor();
    await server.holds(NOTHING_HELD);
    proxy.accept();
    await mounted(tab.page);
    await server.holds({ pages: 1, sockets: 1, liveRuns: 1, topics: 1 });

    expect(await tab.page.getByText('Reconnecting').count()).toBe(0);
    expect(await runIdIn(tab.page, 'order')).toBe(runId);
    await tab.close();
    await server.holds(NOTHING_HELD);
    await expectRunGoesOn(runId);
  });

  test('sockets that vanish while they are mounted leave nothing', async () => {
    const { runId } = await server.pgflow.startFlow('process_order', { orderId: 'office-move' });

    const address = `${server.url}/?order=${runId}&email=${runId}`;
    await Promise.all(
      Array.from({ length: 30 }, async () => {
        const socket = await openSocket(address);
        socket.terminate();
      }),
    );
    await server.holds({ sockets: 0, pages: 0 });
    await server.holds(NOTHING_HELD);

    await expectRunGoesOn(runId);
  });

  test('sockets that vanish right after a click leave nothing, and their runs are started', async () => {
    const emails = async () => (await server.pgflow.listRuns({ flow: 'send_email' })).runs.length;
    const before = await emails();
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        const socket = await openSocket(server.url);
        await socket.text();
        socket.send('{"event":"send","value":{"to":"ada@example.com"}}');
        socket.close();
      }),
    );
    await server.holds({ sockets: 0, pages: 0 });

    await expect.poll(emails, { timeout: STARTING }).toBe(before + 10);
    await server.holds(NOTHING_HELD);
  });
});

describeEachDatabase('a connection that is open at one end only', (kind) => {
  test('is found out by both ends and leaves nothing; the page connects again', {
    timeout: STARTING,
  }, async () => {
    // So short that silence is soon noticed.
    await using server = await startLiveView(kind, { ...LONG_RUNS, beat: 500 });
    const proxy = await startTcpProxy(server.port);
    onTestFinished(() => proxy.close());
    const { runId } = await server.pgflow.startFlow('process_order', { orderId: 'office-move' });
    await using tab = await openPage(browser, `http://127.0.0.1:${proxy.port}/?order=${runId}`);
    await mounted(tab.page);
    await server.holds({ pages: 1, sockets: 1, liveRuns: 1, topics: 1 });

    proxy.freeze();
    await tab.page.getByText('Reconnecting').waitFor();
    await server.holds(NOTHING_HELD);
    proxy.resume();
    proxy.cut();
    await mounted(tab.page);
    await server.holds({ pages: 1, sockets: 1, liveRuns: 1, topics: 1 });

    await tab.close();
    await server.holds(NOTHING_HELD);
    expect((await server.pgflow.getRun(runId))!.status).toBe('started');
  });
});
