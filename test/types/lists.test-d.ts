import { expectTypeOf, test } from 'vitest';
import { defineJob } from '../../src/flow/define-job.js';
import {
  LiveClient,
  type LiveRuns,
  type LiveSocket,
  type PgFlow,
  type Run,
  type RunList,
} from '../../src/index.js';

declare const pgflow: PgFlow;
declare const socket: LiveSocket;
const mail = defineJob({ slug: 'mail' }, () => 1);

test('a run is started with tags, readonly ones too', () => {
  const tags = ['order:123', 'customer:7'] as const;
  pgflow.startFlow(mail, {}, { tags });
  pgflow.enqueue(mail, {}, { tags: [] });
  LiveClient.startFlow(socket, mail, {}, { as: 'mail', tags });
  LiveClient.enqueue(socket, mail, {}, { tags });
  // @ts-expect-error a list of texts
  pgflow.startFlow(mail, {}, { tags: 'order:123' });
  // @ts-expect-error texts
  pgflow.startFlow(mail, {}, { tags: [123] });
  // @ts-expect-error texts
  LiveClient.startFlow(socket, mail, {}, { tags: [123] });
});

test('lists are chosen by flow, status and tag', () => {
  expectTypeOf(pgflow.listRuns({ tag: 'order:123', cursor: null })).resolves.toEqualTypeOf<RunList>();
  expectTypeOf(
    pgflow.trackRuns({ flow: 'mail', status: 'failed', tag: 'a', limit: 20 }),
  ).resolves.toEqualTypeOf<LiveRuns>();
  expectTypeOf(pgflow.trackRuns()).resolves.toEqualTypeOf<LiveRuns>();
  // @ts-expect-error no such status
  pgflow.trackRuns({ status: 'done' });
  // @ts-expect-error one tag
  pgflow.listRuns({ tag: ['a', 'b'] });
  // @ts-expect-error a live list is always that of the newest
  pgflow.trackRuns({ cursor: 'x' });
});

test('a live list shows what listRuns gives, and cannot be altered', () => {
  const live = {} as LiveRuns;
  expectTypeOf(live.getSnapshot()).toEqualTypeOf<RunList>();
  expectTypeOf(live.getSnapshot().runs).toEqualTypeOf<readonly Run[]>();
  // @ts-expect-error readonly
  live.getSnapshot().runs = [];
});
