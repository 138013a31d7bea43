import { act, createElement as h, type ReactNode, StrictMode } from 'react';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, expectTypeOf, it, vi } from 'vitest';
import { z } from 'zod';
import { PgFlowError } from '../errors.js';
import { defineFlow } from '../flow/define-flow.js';
import type { PgFlowClient, RunView } from '../http/client.js';
import { createClient } from '../http/client.js';
import { createHandler } from '../http/handler.js';
import { OTHER_ID, RUN_ID } from '../http/sample-run.test-support.js';
import { ScriptedPgFlow } from '../http/scripted-pgflow.test-support.js';
import type { Run } from '../run/run.js';
import { PgFlowProvider, type StartFlow, useRun, useStartFlow } from './react.js';
import { mount } from './render.test-support.js';

const processOrder = defineFlow({ slug: 'process_order', input: z.object({ orderId: z.string() }) })
  .step('validate', ({ input }) => input.orderId.length)
  .step('charge', { dependsOn: ['validate'] }, ({ deps }) => ({ amount: deps.validate }));

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const settle = (ms = 0) => act(() => vi.advanceTimersByTimeAsync(ms));

function setUp() {
  const pgflow = new ScriptedPgFlow();
  const handler = createHandler({ pgflow, authorize: () => true });
  const fetch = vi.fn((url: string | URL | Request, init?: RequestInit) => handler(new Request(url, init)));
  const client = createClient({ url: 'http://app.test/pgflow', fetch });
  const within = (...children: ReactNode[]) =>
    h(StrictMode, null, h(PgFlowProvider, { client }, ...children));
  return { pgflow, client, fetch, within };
}

/** A component that keeps what `useRun` gave it. */
function runShower() {
  const shown: RunView[] = [];
  const Shower = ({ runId }: { runId: string | null | undefined }) => {
    shown.push(useRun(runId));
    return null;
  };
  return { shown, Shower, last: () => shown.at(-1)! };
}

describe('useRun', () => {
  it('shows a run from loading to its end, and redraws for changes only', async () => {
    const { pgflow, within } = setUp();
    const first = pgflow.add(RUN_ID, { slugs: ['a'] });
    const { shown, Shower, last } = runShower();
    await mount(within(h(Shower, { runId: RUN_ID })));
    expect(shown[0]).toEqual({ run: null, state: 'loading', error: null, connected: false, caughtUp: false });
    await settle();
    expect(last()).toEqual({ run: first, state: 'live', error: null, connected: true, caughtUp: true });
    const drawn = shown.length;
    await settle(40_000);
    expect(shown).toHaveLength(drawn);
    const done = pgflow.finish(RUN_ID);
    await settle();
    expect(last()).toMatchObject({ run: done, state: 'settled' });
  });

  it('shares one connection among components, also in strict mode', async () => {
    const { pgflow, within, fetch } = setUp();
    pgflow.add(RUN_ID);
    const { Shower, shown } = runShower();
    await mount(within(h(Shower, { runId: RUN_ID, key: 1 }), h(Shower, { runId: RUN_ID, key: 2 })));
    await settle();
    expect([fetch.mock.calls.length, pgflow.open]).toEqual([1, 1]);
    expect(new Set(shown.slice(-2)).size).toBe(1);
  });

  it('follows another run when the id changes, and never shows the one under the other id', async () => {
    const { pgflow, within } = setUp();
    pgflow.add(RUN_ID);
    pgflow.add(OTHER_ID);
    const { Shower, last, shown } = runShower();
    const page = await mount(within(h(Shower, { runId: RUN_ID })));
    await settle();
    shown.length = 0;
    await page.render(within(h(Shower, { runId: OTHER_ID })));
    await settle(1_000);
    expect(last().run!.runId).toBe(OTHER_ID);
    expect(shown.map(({ run }) => run?.runId)).not.toContain(RUN_ID);
    expect(pgflow.open).toBe(1);
  });

  it('without an id is loading and asks for nothing', async () => {
    const { within, fetch } = setUp();
    const { Shower, shown } = runShower();
    const page = await mount(within(h(Shower, { runId: null })));
    await page.render(within(h(Shower, { runId: undefined })));
    await settle(60_000);
    expect(new Set(shown.map(({ state }) => state))).toEqual(new Set(['loading']));
    expect(fetch).not.toHaveBeenCalled();
  });

  it('unmounted leaves nothing', async () => {
    const { pgflow, within } = setUp();
    pgflow.add(RUN_ID);
    const { Shower } = runShower();
    const page = await mount(within(h(Shower, { runId: RUN_ID })));
    await settle();
    await page.unmount();
    await settle(1_000);
    expect([pgflow.open, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it('on the server is loading and asks for nothing', () => {
    const { pgflow, within, fetch } = setUp();
    pgflow.add(RUN_ID);
    const Page = () => h('p', null, useRun(RUN_ID).state);
    expect(renderToString(within(h(Page)))).toBe('<p>loading</p>');
    expect(fetch).not.toHaveBeenCalled();
  });

  it('without a provider says what is missing', () => {
    const Page = () => h('p', null, useRun(RUN_ID).state);
    expect(() => renderToString(h(Page))).toThrow(/useRun needs a <PgFlowProvider/);
  });

  it('has the types of the flow', () => {
    const Page = () => {
      const { run } = useRun<typeof processOrder>(RUN_ID);
      expectTypeOf(run!.step('charge').output).toEqualTypeOf<{ amount: number } | null>();
      // @ts-expect-error no such step
      run?.step('unknown');
      const { start } = useStartFlow<typeof processOrder>('process_order');
      expectTypeOf(start).parameter(0).toEqualTypeOf<{ orderId: string }>();
      return null;
    };
    expect(Page).toBeTypeOf('function');
  });
});

describe('useStartFlow', () => {
  const startShower = () => {
    const shown: StartFlow[] = [];
    const Shower = () => {
      shown.push(useStartFlow('process_order'));
      return null;
    };
    return { shown, Shower, last: () => shown.at(-1)! };
  };

  it('starts a run, says so meanwhile, and keeps its function', async () => {
    const { within } = setUp();
    const { Shower, last } = startShower();
    await mount(within(h(Shower)));
    expect(last()).toMatchObject({ pending: false, error: null });
    const { start } = last();
    let started: Promise<Run> | undefined;
    act(() => {
      started = start({ orderId: '1' }, { runId: RUN_ID });
    });
    expect(last()).toMatchObject({ start, pending: true, error: null });
    await act(() => started);
    expect((await started)!.runId).toBe(RUN_ID);
    expect(last()).toMatchObject({ start, pending: false, error: null });
  });

  it('shows the run it started at once', async () => {
    const { within } = setUp();
    const starter = startShower();
    const shower = runShower();
    await mount(within(h(starter.Shower), h(shower.Shower, { runId: RUN_ID })));
    await settle(100);
    expect(shower.last().state).toBe('loading');
    await act(() => starter.last().start(1, { runId: RUN_ID }));
    expect(shower.last().state).toBe('live');
  });

  it('shows why a start failed and rejects with it; the next start clears it', async () => {
    const { within, pgflow } = setUp();
    const { Shower, last } = startShower();
    await mount(within(h(Shower)));
    pgflow.failure = new PgFlowError('INVALID_INPUT', 'bad', { data: { issues: [] } });
    let thrown: unknown;
    await act(() =>
      last()
        .start({})
        .catch((error) => {
          thrown = error;
        }),
    );
    expect(thrown).toMatchObject({ code: 'INVALID_INPUT' });
    expect(last()).toMatchObject({ pending: false, error: thrown });
    pgflow.failure = null;
    await act(() => last().start({}));
    expect(last().error).toBeNull();
  });

  it('is pending until every start was answered', async () => {
    const answers: (() => void)[] = [];
    const client = {
      startFlow: () => new Promise((resolve) => answers.push(() => resolve({}))),
    } as unknown as PgFlowClient;
    const { Shower, last } = startShower();
    await mount(h(PgFlowProvider, { client }, h(Shower)));
    await act(async () => {
      void last().start(1);
      void last().start(2);
    });
    await act(async () => answers[0]!());
    expect(last().pending).toBe(true);
    await act(async () => answers[1]!());
    expect(last().pending).toBe(false);
  });
});
