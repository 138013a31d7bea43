import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { createPgFlow, type PgFlow } from '../../src/index.js';
import { applyChange } from '../../src/run/apply-change.js';
import type { Change } from '../../src/run/change.js';
import type { Run } from '../../src/run/run.js';
import { differencesOf, type History, installAuditor } from '../harness/auditor.js';
import { type DatabaseKind, describeEachDatabase, type TestDatabase } from '../harness/databases.js';
import { type Faults, FlakyBus, randomFrom } from './flaky-bus.js';
import { buildFlow, inputOf, type RandomFlow, randomFlow } from './random-flow.js';
import { giveBack, takeDatabase } from './spare-database.js';
import { WatchedRun } from './watched-run.js';

interface Scenario {
  readonly flow: RandomFlow;
  readonly runs: number;
  readonly faults: Faults;
  readonly seed: number;
  /** Whether the bus says, when all is over, that it was away. Else only the watchdog can tell of a lost last message. */
  readonly heals: boolean;
}

const chance = fc.constantFrom(0, 0.1, 0.4);
const scenarios: fc.Arbitrary<Scenario> = fc.record({
  flow: randomFlow,
  runs: fc.integer({ min: 1, max: 3 }),
  faults: fc.record({
    lost: fc.constantFrom(0, 0.1, 0.5, 1),
    doubled: chance,
    late: fc.constantFrom(0, 0.3, 0.8),
  }),
  seed: fc.integer(),
  heals: fc.constant(true),
});

/** What was watched and told in all scenarios, to be compared with the rows when all is over. */
interface Evidence {
  readonly watched: WatchedRun[];
  readonly changes: Change[];
}

let flows = 0;

/** Seconds after which a watcher that learnt nothing counts as stuck. */
const PATIENCE = 20;

/** Runs a flow with one pgflow and watches it with another (on PGlite with the same), until all is at rest. */
async function live(
  db: TestDatabase,
  { flow, runs, faults, seed, heals }: Scenario,
  evidence: Evidence,
): Promise<void> {
  const bus = new FlakyBus(seed, faults);
  const definition = buildFlow(`flow_${++flows}`, flow, randomFrom(seed + 1));
  const create = (worker: false | object) =>
    createPgFlow({ database: db.database, flows: [definition], pubsub: bus.end(), worker });
  const working = await create({ pollInterval: 3600, concurrency: 5 });
  const watching = db.kind === 'postgres' ? await create(false) : working;
  try {
    await working.start();
    const watched = await Promise.all(
      Array.from({ length: runs }, () => start(working, watching, definition.slug, inputOf(flow))),
    );
    const ends = await Promise.all(watched.map(([own]) => own!.end()));
    const late = await Promise.all(ends.map((run) => WatchedRun.open(watching, run.runId)));
    if (heals) bus.reconnect();
    const watchers = [...watched.flat(), ...late];
    evidence.watched.push(...watchers);
    evidence.changes.push(...bus.changes);
    for (const watcher of watchers) {
      const shown = await watcher.live.waitFor(['completed', 'failed'], { timeout: PATIENCE });
      expect(shown, 'C1').toEqual(await watching.getRun(shown.runId));
    }
  } finally {
    await Promise.all([working.stop(), watching.stop()]);
  }
}

async function start(working: PgFlow, watching: PgFlow, slug: string, input: unknown): Promise<WatchedRun[]> {
  const { runId } = await working.startFlow(slug, input);
  return Promise.all([WatchedRun.open(working, runId), WatchedRun.open(watching, runId)]);
}

/** L2 of what was told: each change leads from the rows at its `since` to the rows at its seq. */
function checkChange(change: Change, { snapshots }: History): void {
  const rows = snapshots.get(change.runId) as ReadonlyMap<number, Run>;
  const applied = applyChange(rows.get(change.since) ?? null, change);
  expect(applied.kind, `L2: change ${change.since} to ${change.seq}`).toBe('applied');
  expect(differencesOf(applied.run as Run, rows.get(change.seq)!), `L2: change ${change.seq}`).toBeNull();
}

async function createAudited(kind: DatabaseKind) {
  const db = await takeDatabase(kind);
  onTestFinished(({ task }) => (task.result?.state === 'fail' ? db.close() : giveBack(db)));
  await (await createPgFlow({ database: db.database, worker: false })).stop();
  return { db, auditor: await installAuditor(db) };
}

describeEachDatabase('convergence', (kind) => {
  test('whatever the bus does, at rest every live run is the row, and none ever went back', {
    timeout: 120_000,
  }, async () => {
    const { db, auditor } = await createAudited(kind);
    const evidence: Evidence = { watched: [], changes: [] };

    await fc.assert(
      fc.asyncProperty(scenarios, (one) => live(db, one, evidence)),
      { numRuns: kind === 'postgres' ? 40 : 20, interruptAfterTimeLimit: 60_000 },
    );

    const history = await auditor.audit();
    for (const run of evidence.watched) run.check(history.snapshots.get(run.live.runId)!);
    for (const change of evidence.changes) checkChange(change, history);
    expect(evidence.changes.length).toBeGreaterThan(0);
  });

  test('with every message lost, and nobody to say so, the watchdog finds the end', async () => {
    const { db, auditor } = await createAudited(kind);
    const evidence: Evidence = { watched: [], changes: [] };
    const step = {
      kind: 'single',
      parents: [0.9],
      over: 0,
      size: 3,
      failures: 0,
      slowness: 5,
      condition: 'none',
      whenUnmet: 'skip',
      whenExhausted: 'fail',
    } as const;
    const flow = {
      inputSize: 0,
      steps: [step, { ...step, failures: 1 }, { ...step, kind: 'map', over: 0.9 }],
    } as const;
    const faults = { lost: 1, doubled: 0, late: 0 };

    await live(db, { flow, runs: 2, faults, seed: 1, heals: false }, evidence);

    const history = await auditor.audit();
    for (const run of evidence.watched) run.check(history.snapshots.get(run.live.runId)!);
  });
});
