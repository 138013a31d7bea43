import type { Outcome } from '../postgres/change-rows.js';
import { pause } from '../postgres/pause.js';
import type { TaskStore } from '../postgres/task-store.js';
import type { Change, TaskFact } from '../run/change.js';
import type { Execution, Listener } from './execution.js';
import { beginOf, isPassing } from './settler.js';
import type { Said } from './task-report.js';

export interface TellerPorts {
  readonly store: Pick<TaskStore, 'tellTasks'>;
  /** Changes that are committed, in this order. */
  onChanges(changes: readonly Change[]): void;
  onError(message: string, error: unknown): void;
}

interface Tell extends Said {
  readonly execution: Execution;
}

/** Milliseconds: begins are told after 10, so that a begin comes before what its handler says. */
const FIRST_DELAY = 20;
/** Milliseconds from one statement to the next, unless an attempt ends. */
const PERIOD = 250;
/** Of one statement: 8 MB at most. */
const MOST_LOGS = 1000;
const MOST_TASKS = 500;

/**
 * Tells the database what handlers say while they work, in few statements however much they say: of each task the last
 * progress, and all that it logged. What an attempt logged is stored before its end is.
 *
 * Modes: `idle → waiting → telling → waiting or idle`; any → `closed`. It waits from the first word on; what is said
 * while it tells is for the next time. Closed, it drops what was not told.
 */
export class Teller implements Listener {
  #mode: 'idle' | 'waiting' | 'telling' | 'closed' = 'idle';
  readonly #ports: TellerPorts;
  /** They have said something that was not told. Who spoke last comes last. */
  readonly #spoken = new Set<Execution>();
  /** Their entries are in the statement under way. */
  #carried: ReadonlySet<Execution> = new Set();
  #telling: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(ports: TellerPorts) {
    this.#ports = ports;
  }

  add(execution: Execution): void {
    if (this.#mode === 'closed') return;
    this.#spoken.delete(execution);
    this.#spoken.add(execution);
    if (this.#mode === 'idle') this.#enter('waiting');
  }

  /** Resolves when all that it has logged so far is in the database, or turned out not to count any more. */
  async flush(execution: Execution): Promise<void> {
    if (execution.report?.hasLogs) this.add(execution);
    while (this.#mode !== 'closed' && this.#owes(execution)) {
      if (this.#mode !== 'telling') this.#tell();
      await this.#telling;
    }
  }

  forget(execution: Execution): void {
    this.#spoken.delete(execution);
  }

  /** Gives up what cannot be told because the database is away. Resolves when nothing is under way. */
  close(): Promise<void> {
    this.#enter('closed');
    this.#spoken.clear();
    return this.#telling;
  }

  #enter(mode: 'idle' | 'waiting' | 'telling' | 'closed'): void {
    this.#mode = mode;
    clearTimeout(this.#timer);
    if (mode !== 'waiting') return;
    const delay = Math.max(FIRST_DELAY, this.#toldAt + PERIOD - performance.now());
    this.#timer = setTimeout(() => this.#tell(), delay);
  }

  #owes(execution: Execution): boolean {
    return this.#carried.has(execution) || (execution.report?.hasLogs ?? false);
  }

  #tell(): void {
    this.#enter('telling');
    const tells = this.#take();
    this.#carried = new Set(tells.filter(({ logs }) => logs.length > 0).map(({ execution }) => execution));
    this.#telling = this.#send(tells).finally(() => {
      this.#carried = new Set();
      this.#toldAt = performance.now();
      if (this.#mode === 'telling') this.#enter(this.#spoken.size > 0 ? 'waiting' : 'idle');
    });
  }

  #take(): Tell[] {
    const tells: Tell[] = [];
    let room = MOST_LOGS;
    for (const execution of this.#spoken) {
      if (room === 0 || tells.length === MOST_TASKS) break;
      const report = execution.report!;
      const said = report.take(room);
      room -= said.logs.length;
      if (said.progress !== null || said.logs.length > 0) tells.push({ execution, ...said });
      if (report.isEmpty) this.#spoken.delete(execution);
    }
    return tells;
  }

  async #send(tells: readonly Tell[]): Promise<void> {
    for (let failures = 0; tells.length > 0; failures += 1) {
      try {
        const now = performance.now();
        this.#publish(tells, await this.#ports.store.tellTasks(tells.map((tell) => toTell(tell, now))), now);
        return;
      } catch (error) {
        if (this.#mode === 'closed') return;
        if (!isPassing(error, failures)) {
          return this.#ports.onError('Could not store what tasks said of themselves; it is dropped', error);
        }
        if (failures === 0) this.#ports.onError('Storing what tasks say failed; trying again', error);
        await pause(failures);
        if (this.#isClosed) return;
      }
    }
  }

  get #isClosed(): boolean {
    return this.#mode === 'closed';
  }

  #publish(tells: readonly Tell[], { changes, accepted, at }: Outcome, now: number): void {
    const complete = new Map(changes.map((change) => [change.runId, { ...change, tasks: [] as TaskFact[] }]));
    for (const [place, tell] of tells.entries()) {
      if (!accepted.has(place)) continue;
      complete.get(tell.execution.task.runId)?.tasks.push(...factsOf(tell, at!, now));
    }
    this.#ports.onChanges([...complete.values()]);
  }
}

function toTell({ execution: { task }, progress, logs }: Tell, now: number) {
  return {
    runId: task.runId,
    stepIndex: task.stepIndex,
    taskIndex: task.taskIndex,
    claim: task.claim,
    progress,
    logs: logs.map(({ number, saidAt, message, fields }) => ({
      number,
      age: ageOf(saidAt, now),
      message,
      fields,
    })),
  };
}

/** Whole milliseconds, as the engine's times are; rounded down, so that nothing was said before its task began. */
function ageOf(saidAt: number, now: number): number {
  return Math.floor(now - saidAt);
}

function factsOf({ execution, logs }: Tell, at: Date, now: number): TaskFact[] {
  const { taskIndex, attempt } = execution.task;
  const stepSlug = execution.handler.step.slug;
  return [
    ...(execution.told ? [] : [beginOf(execution)]),
    ...logs.map(({ saidAt, message, fields }): TaskFact => {
      const saidThen = new Date(at.getTime() - ageOf(saidAt, now));
      return {
        type: 'task_logged',
        stepSlug,
        taskIndex,
        attempt,
        at: saidThen,
        message,
        fields: JSON.parse(fields ?? '{}'),
      };
    }),
  ];
}
