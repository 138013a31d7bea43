import { hostname } from 'node:os';
import { withDeadline } from '../postgres/deadline.js';
import type { ClaimedTask, TaskKey, TaskStore } from '../postgres/task-store.js';
import { type TaskTrace, tellEnding } from '../telemetry/task-trace.js';
import { ClaimLatencies, type ClaimLatency } from './claim-latency.js';
import { Claimer } from './claimer.js';
import { type CommitTask, Execution, type Handler } from './execution.js';
import { Lease } from './lease.js';
import { Settler, type SettlerPorts } from './settler.js';
import { SharedInputs } from './shared-inputs.js';
import { Teller } from './teller.js';
import { checkWorkerOptions, type WorkerOptions } from './worker-options.js';

export interface WorkerPorts extends Omit<SettlerPorts, 'store' | 'claimWith'> {
  readonly store: TaskStore;
  /** By the id under which the database knows them. */
  readonly handlers: ReadonlyMap<number, Handler>;
}

/** How busy a worker is. */
export interface WorkerLoad {
  readonly executing: number;
  readonly concurrency: number;
}

/** How long stopping waits, in milliseconds, for what the database is asked, and for handlers that were aborted. */
const PATIENCE = 5000;
/** What a timer takes: a longer one would fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

type Mode = 'idle' | 'starting' | 'running' | 'draining' | 'stopped';

/**
 * Claims due tasks, executes them and settles them.
 *
 * Modes: `idle → starting → running → draining → stopped`, `starting → idle` when it cannot register. Only a running
 * worker claims; a draining one waits
 * for its handlers, then gives back what is left; a stopped one does nothing more.
 * With each heartbeat of its lease, handlers whose claim was lost abort, and the tasks of the dead are rescued.
 */
export class Worker {
  #mode: Mode = 'idle';
  readonly #options: Required<WorkerOptions>;
  readonly #ports: WorkerPorts;
  readonly #settler: Settler;
  readonly #teller: Teller;
  readonly #lease: Lease;
  readonly #handlerIds: number[];
  /** Executing now: each takes a slot. */
  readonly #active = new Set<Execution>();
  /** Claimed and not settled yet: what the lease is for. */
  readonly #held = new Set<Execution>();
  readonly #inputs = new SharedInputs();
  readonly #latencies = new ClaimLatencies();
  readonly #claimer: Claimer;
  /** On its own: while it hangs, heartbeats go on. */
  #rescuing: Promise<void> | undefined;
  #idle: (() => void)[] = [];
  #startedAt = 0;

  constructor(ports: WorkerPorts, options: WorkerOptions = {}) {
    this.#ports = ports;
    this.#options = checkWorkerOptions(options);
    this.#handlerIds = [...ports.handlers.keys()];
    this.#settler = new Settler({
      ...ports,
      claimWith: (wanted, statement) => this.#claimer.claimWith(wanted, 'follows', statement),
      onReady: () => {
        this.wake();
        ports.onReady();
      },
    });
    this.#teller = new Teller(ports);
    this.#lease = this.#createLease();
    this.#claimer = new Claimer({
      store: ports.store,
      lease: this.#lease,
      handlerIds: this.#handlerIds,
      pollInterval: this.#options.pollInterval,
      free: () => this.#options.concurrency - this.#active.size,
      begin: (tasks) => this.#begin(tasks),
      inputs: this.#inputs,
      held: () => this.#heldTasks(),
      telemetry: ports.telemetry,
      onError: ports.onError,
    });
  }

  get mode(): Mode {
    return this.#mode;
  }

  get load(): WorkerLoad {
    return { executing: this.#active.size, concurrency: this.#options.concurrency };
  }

  get claimLatency(): ClaimLatency | null {
    return this.#latencies.read();
  }

  /** False while it is not registered, or has not been able to renew its lease in time. */
  get hasLease(): boolean {
    return this.#lease.isHeld;
  }

  /** Registers with the database and begins to claim. Rejected, it can be tried again. */
  async start(): Promise<void> {
    if (this.#mode !== 'idle') return;
    this.#enter('starting');
    const workerId = await this.#lease.register().catch((error) => {
      this.#enter('idle');
      throw error;
    });
    this.#enter('running');
    this.#startedAt = performance.now();
    this.#ports.telemetry.workerStarted({ workerId, concurrency: this.#options.concurrency });
    this.#rescuing = this.#rescue();
    this.wake();
  }

  /** Tasks may be due: look now. */
  wake(): void {
    if (this.#mode === 'running') this.#claimer.wake();
  }

  /** Executes a statement that may claim, for this worker, up to so many of the tasks that it makes ready. */
  claimWith: SettlerPorts['claimWith'] = (wanted, statement) =>
    this.#claimer.claimWith(wanted, 'new', statement);

  /** The run has failed or was cancelled: aborts its handlers without waiting for the next heartbeat. */
  abandon(runId: string): void {
    for (const execution of this.#active) {
      if (execution.task.runId === runId) execution.giveUp('lost');
    }
  }

  /**
   * Stops claiming, waits `grace` seconds for the handlers, aborts the rest and gives their tasks back
   * without costing an attempt. Resolves when nothing of this worker is left.
   */
  async stop(grace: number): Promise<void> {
    if (this.#mode !== 'running') return;
    this.#enter('draining');
    const { workerId } = this.#lease;
    await within(PATIENCE, this.#claimer.end());
    const drained = await this.#drain(grace * 1000);
    if (!drained) {
      for (const execution of this.#active) execution.giveUp('stopping');
      await this.#drain(PATIENCE);
    }
    await within(
      PATIENCE,
      Promise.all([this.#teller.close(), this.#settler.close(), this.#lease.end(), this.#rescuing]),
    );
    // What could not be told to the database is rescued when the lease ends.
    if (this.#held.size === 0) await within(PATIENCE, this.#ports.store.removeWorker(this.#lease.workerId));
    this.#enter('stopped');
    this.#ports.telemetry.workerStopped({ workerId, duration: performance.now() - this.#startedAt });
  }

  #enter(mode: Mode): void {
    this.#mode = mode;
  }

  #createLease(): Lease {
    const { lease, concurrency } = this.#options;
    return new Lease({
      store: this.#ports.store,
      registration: {
        name: `${hostname()}:${process.pid}`,
        lease,
        concurrency,
        handlerIds: this.#handlerIds,
      },
      tasks: () => this.#heldTasks(),
      onLost: () => {
        for (const execution of this.#held) execution.giveUp('lost');
        this.wake();
      },
      onLostClaims: (claims) => {
        const keys = new Set(claims.map(keyOf));
        for (const execution of this.#held) if (keys.has(keyOf(execution.task))) execution.giveUp('lost');
      },
      onBeat: () => {
        this.#rescuing ??= this.#rescue();
        this.#claimer.returnUnheard();
      },
      onError: this.#ports.onError,
    });
  }

  #heldTasks(): ClaimedTask[] {
    return [...this.#held].map(({ task }) => task);
  }

  #begin(tasks: readonly ClaimedTask[]): void {
    for (const task of tasks) {
      this.#latencies.add(task.waited);
      const handler = this.#ports.handlers.get(task.handlerId)!;
      void this.#execute(new Execution(task, handler, this.#commit, this.#teller));
    }
  }

  async #execute(execution: Execution): Promise<void> {
    const { task } = execution;
    const isShared = execution.handler.step.kind === 'map';
    const { input, deps = {} } = isShared ? this.#inputs.hold(task) : task;
    this.#active.add(execution);
    this.#held.add(execution);
    this.#settler.begin(execution);
    if (this.#ports.telemetry.hearsTasks) execution.trace = this.#trace(execution);
    const end = await execution.run(input, deps);
    execution.trace?.end();
    this.#active.delete(execution);
    this.#claimer.proceed();
    if (execution.report && end !== 'lost') await this.#teller.flush(execution);
    this.#teller.forget(execution);
    if (end === 'lost' || end === 'committed') this.#forget(execution, end);
    else if (end === 'stopping') await this.#giveBack(execution);
    else await this.#settler.end(execution, end);
    this.#held.delete(execution);
    if (isShared) this.#inputs.release(task);
    if (this.#held.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** What was logged before it is stored before it. */
  readonly #commit: CommitTask = async (execution, fn) => {
    if (execution.report) await this.#teller.flush(execution);
    return this.#settler.commit(execution, fn);
  };

  #forget(execution: Execution, end: 'lost' | 'committed'): void {
    this.#settler.forget(execution);
    tellEnding(execution.trace?.stopped(end === 'lost' ? 'abandoned' : 'completed'));
  }

  #trace({ task, handler }: Execution): TaskTrace {
    const { runId, taskIndex, attempt } = task;
    return this.#ports.telemetry.taskBegan({
      workerId: this.#lease.workerId,
      runId,
      flowSlug: handler.flow.slug,
      stepSlug: handler.step.slug,
      taskIndex,
      attempt,
      waited: task.waited * 1000,
    });
  }

  async #giveBack(execution: Execution): Promise<void> {
    this.#settler.forget(execution);
    tellEnding(execution.trace?.stopped('returned'));
    await this.#ports.store.returnTasks([execution.task]).catch((error) => {
      this.#ports.onError('Could not give a task back; its lease will end', error);
    });
  }

  /** True when nothing is held any more within that time. */
  #drain(milliseconds: number): Promise<boolean> {
    if (this.#held.size === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), Math.min(milliseconds, LONGEST_TIMER));
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  async #rescue(): Promise<void> {
    try {
      const { changes, ready } = await this.#ports.store.rescueTasks();
      if (changes.length > 0) this.#ports.onChanges(changes);
      if (!ready) return;
      this.wake();
      this.#ports.onReady();
    } catch (error) {
      this.#ports.onError('Rescuing the tasks of dead workers failed', error);
    } finally {
      this.#rescuing = undefined;
    }
  }
}

function keyOf({ runId, stepIndex, taskIndex, claim }: TaskKey): string {
  return `${runId}:${stepIndex}:${taskIndex}:${claim}`;
}

/** What `work` does, for at most so long; a failure is an end too. */
async function within(milliseconds: number, work: Promise<unknown> | undefined): Promise<void> {
  await withDeadline(milliseconds / 1000, Promise.resolve(work)).catch(() => {});
}
