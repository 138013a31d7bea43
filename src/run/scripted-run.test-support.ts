import type { Change, RunValues, StepChange, TaskFact } from './change.js';
import { createRun, isTerminalStep, type Run, type StepState } from './run.js';

/** What a commit alters. Steps by slug. */
export interface Commit {
  readonly run?: Partial<RunValues>;
  readonly steps?: Readonly<Record<string, Partial<StepState>>>;
  readonly tasks?: readonly TaskFact[];
}

interface Row {
  readonly state: StepState;
  readonly seq: number;
}

interface Version {
  readonly values: RunValues;
  readonly rows: readonly Row[];
  readonly tasks: readonly TaskFact[];
}

const ORIGIN = Date.UTC(2026, 0, 1);

/** The database's time at a seq, so that tests can tell them apart. */
export function timeAt(seq: number): Date {
  return new Date(ORIGIN + seq * 1000);
}

export const SCRIPTED_RUN_ID = '01987654-3210-7abc-8def-0123456789ab';

/** A run as its rows are: keeps every version, and answers as the database would. Knows nothing of applyChange. */
export class ScriptedRun {
  readonly runId: string;
  readonly slugs: readonly string[];
  readonly input: unknown;
  readonly #versions: Version[] = [];

  constructor(slugs: readonly string[], options: { runId?: string; input?: unknown } = {}) {
    this.runId = options.runId ?? SCRIPTED_RUN_ID;
    this.input = options.input ?? { lines: [1, 2] };
    this.slugs = slugs;
    const rows = slugs.map((stepSlug) => ({ state: createdStep(stepSlug), seq: 1 }));
    this.#versions.push({ values: startedRun(slugs.length), rows, tasks: [] });
  }

  get seq(): number {
    return this.#versions.length;
  }

  get nextTime(): Date {
    return timeAt(this.seq + 1);
  }

  step(slug: string): StepState {
    return this.#version(this.seq).rows[this.slugs.indexOf(slug)]!.state;
  }

  /** Commits the next version; the change is what a publisher would tell. */
  commit({ run = {}, steps = {}, tasks = [] }: Commit): Change {
    const last = this.#version(this.seq);
    const seq = this.seq + 1;
    const rows = last.rows.map((row) => {
      const touched = steps[row.state.stepSlug];
      return touched === undefined ? row : { state: { ...row.state, ...touched }, seq };
    });
    const open = rows.filter(({ state }) => !isTerminalStep(state.status)).length;
    this.#versions.push({ values: { ...last.values, remainingSteps: open, ...run }, rows, tasks });
    return this.change(seq - 1);
  }

  begin(slug: string): Change {
    const startedAt = this.nextTime;
    const tasks = { initialTasks: this.step(slug).initialTasks ?? 1, remainingTasks: 1 };
    return this.commit({ steps: { [slug]: { status: 'started', startedAt, attempt: 1, ...tasks } } });
  }

  complete(slug: string, output: unknown = `${slug} done`, end: Partial<RunValues> = {}): Change {
    const completedAt = this.nextTime;
    const steps = { [slug]: { status: 'completed', completedAt, output, remainingTasks: 0 } as const };
    return this.commit({ steps, run: end });
  }

  /** Completes the last step and the run. */
  finish(slug: string, output: unknown = `${slug} done`): Change {
    const end = { status: 'completed', completedAt: this.nextTime, output: { [slug]: output } } as const;
    return this.complete(slug, output, end);
  }

  fail(slug: string, message = 'no'): Change {
    const failedAt = this.nextTime;
    return this.commit({
      steps: { [slug]: { status: 'failed', failedAt, errorMessage: message } },
      run: { status: 'failed', failedAt, error: { stepSlug: slug, taskIndex: 0, message } },
    });
  }

  cancel(cancelReason: string | null = null): Change {
    return this.commit({ run: { status: 'cancelled', cancelledAt: this.nextTime, cancelReason } });
  }

  /** The snapshot at a seq, made anew from the rows. */
  at(seq: number = this.seq): Run {
    const { values, rows } = this.#version(seq);
    const { cancelReason: _, ...shown } = values;
    return createRun({
      runId: this.runId,
      flowSlug: 'scripted',
      version: 1,
      input: structuredClone(this.input),
      startedAt: timeAt(1),
      retryOf: null,
      seq,
      ...structuredClone(shown),
      stepStates: rows.map(({ state }) => structuredClone(state)),
    });
  }

  /** What is new since a seq; with its tasks if it is one commit. 0: the snapshot. */
  change(since: number, seq: number = this.seq): Change {
    const { values, rows, tasks } = this.#version(seq);
    const steps: StepChange[] = rows
      .map((row, index) => ({ index, seq: row.seq, state: structuredClone(row.state) }))
      .filter((step) => step.seq > since)
      .sort((a, b) => a.seq - b.seq || a.index - b.index);
    return {
      runId: this.runId,
      since,
      seq,
      origin: since === 0 ? this.#origin() : null,
      run: structuredClone(values),
      steps,
      tasks: seq === since + 1 ? tasks : [],
    };
  }

  #origin() {
    const input = structuredClone(this.input);
    return { flowSlug: 'scripted', version: 1, input, startedAt: timeAt(1), retryOf: null };
  }

  #version(seq: number): Version {
    const version = this.#versions[seq - 1];
    if (version === undefined) throw new RangeError(`The run has no seq ${seq}.`);
    return version;
  }
}

function startedRun(remainingSteps: number): RunValues {
  return {
    status: 'started',
    output: null,
    error: null,
    remainingSteps,
    completedAt: null,
    failedAt: null,
    cancelledAt: null,
    cancelReason: null,
  };
}

function createdStep(stepSlug: string): StepState {
  return {
    stepSlug,
    status: 'created',
    remainingDeps: 0,
    initialTasks: null,
    remainingTasks: null,
    attempt: 0,
    output: null,
    errorMessage: null,
    skipReason: null,
    progress: null,
    createdAt: timeAt(1),
    startedAt: null,
    completedAt: null,
    failedAt: null,
    skippedAt: null,
    cancelledAt: null,
  };
}
