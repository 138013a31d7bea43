import { randomFrom } from '../engine/flaky-bus.js';
import { FaultSchedule } from './fault-schedule.js';
import { pause } from './fixtures/commands.js';
import { checkRest } from './rest.js';
import { type Stage, type StormBus, setStage } from './stage.js';
import type { StormReport } from './storm-report.js';

export interface StormOptions {
  readonly seed: number;
  readonly bus: StormBus;
  readonly rounds: number;
  /** Seconds of storm before all must come to rest. */
  readonly round: number;
  /** Seconds that coming to rest may take, and each thing that is waited for then. */
  readonly patience: number;
  /** Beginnings of the names of faults; empty: all. */
  readonly faults: readonly string[];
}

/** How often the audit looks, in milliseconds. */
const LOOK = 1_000;

/**
 * A storm: rounds of faults, each followed by calm, until everything is at rest and all of it is checked. It ends
 * with the first violation.
 *
 * The seed decides flows, faults and what the processes do by chance; which of them meet is the machine's affair.
 */
export async function conductStorm(options: StormOptions): Promise<StormReport> {
  const stage = await setStage(options.seed, options.bus);
  const report: StormReport = {
    seed: options.seed,
    bus: options.bus,
    rounds: 0,
    seconds: 0,
    runs: {},
    pruned: 0,
    states: 0,
    watchers: 0,
    faults: new Map(),
    messages: { lost: 0, doubled: 0, late: 0, newer: 0 },
    executions: 0,
    repeated: 0,
    transactions: 0,
    completedTwice: 0,
    violations: [],
  };
  const audit = keepLooking(stage);
  const schedule = new FaultSchedule(stage, randomFrom(options.seed), options.faults);
  report.faults = schedule.counts;
  const begin = Date.now();
  try {
    while (report.violations.length === 0 && report.rounds < options.rounds) {
      await conductRound(stage, schedule, options, report);
      report.rounds += 1;
      report.violations = [...stage.audit.wrong, ...stage.ledger.wrong];
    }
  } catch (error) {
    const { stack, message } = error as Error;
    report.violations = [...stage.audit.wrong, ...stage.ledger.wrong, stack ?? message];
  } finally {
    await audit.stop();
    report.seconds = Math.round((Date.now() - begin) / 1000);
    report.executions = stage.ledger.executions;
    report.repeated = stage.ledger.repeated;
    report.transactions = stage.audit.transactions;
    await stage.close();
  }
  return report;
}

async function conductRound(
  stage: Stage,
  schedule: FaultSchedule,
  { seed, round, patience }: StormOptions,
  report: StormReport,
): Promise<void> {
  const { webs, ledger } = stage;
  const random = randomFrom(seed + report.rounds);
  ledger.onStarted = (runId, web) => {
    if (random() < 0.05) webs[(web + 2) % webs.length]!.tell({ do: 'trespass', runId });
  };
  const isWell = () => stage.audit.wrong.length === 0 && ledger.wrong.length === 0;
  // A web process that was killed comes back without knowing that there is a storm.
  const drive = setInterval(() => {
    for (const web of webs) web.tell({ do: 'storm' });
  }, 500);
  try {
    await schedule.run(round * 1000, isWell);
  } finally {
    clearInterval(drive);
  }
  if (isWell()) await checkRest(stage, patience, report);
}

/** The audit, all the time; what it finds ends the storm. */
function keepLooking({ audit }: Stage): { stop(): Promise<void> } {
  let isOver = false;
  const done = (async () => {
    while (!isOver) {
      await pause(LOOK);
      // The server may be away.
      await audit.look().catch(() => {});
    }
    await audit.look().catch(() => {});
  })();
  return {
    stop() {
      isOver = true;
      return done;
    },
  };
}
