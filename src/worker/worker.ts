import { hostname } from 'node:os';
import type { Outcome } from '../postgres/change-rows.js';
import { withDeadline } from '../postgres/deadline.js';
import { pause } from '../postgres/pause.js';
import type { Capacity, ClaimedTask, TaskKey, TaskStore } from '../postgres/task-store.js';
import { freezeDeep } from '../run/freeze.js';
import { ClaimLatencies, type ClaimLatency } from './claim-latency.js';
import { Execution, type Handler } from './execution.js';
import { Lease, NOBODY } from './lease.js';
import { Settler, type SettlerPorts } from './settler.js';
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

type Mode = 'idle' | 'running' | 'draining' | 'stopped';

/**
 * Claims due tasks, executes them and settles them.
 *
 * Modes: `idle → running → draining → stopped`. Only a running worker claims; a draining one waits
 * for its handlers, then gives back what is left; a stopped one does nothing more.
 *
 * It claims when it is woken (tasks became ready), when the next delayed task is due, when a slot
 * gets free and the last claim left something, and every `pollInterval` for what it was not told.
 * With each heartbeat of its lease, handlers whose claim was lost abort, and the tasks of the dead are rescued.
 */
export class Worker {
  #mode: Mode = 'idle';
  readonly #options: Required<WorkerOptions>;
  readonly #ports: WorkerPorts;
  readonly #settler: Settler;
  readonly #lease: Lease;
  readonly #handlerIds: number[];
  /** Executing now: each takes a slot. */
  readonly #active = new Set<Execution>();
  /** Slots promised to statements that may claim. */
  #reserved = 0;
  /** Claimed and not settled yet: what the lease is for. */
  readonly #held = new Set<Execution>();
  readonly #latencies = new ClaimLatencies();
  /** Whether the queue may hold something due. */
  #more = true;
  #wakes = 0;
  #claiming: Promise<void> | undefined;
  #nextClaim: NodeJS.Timeout | undefined;
  /** On its own: while it hangs, heartbeats go on. */
  #rescuing: Promise<void> | undefined;
  #idle: (() => void)[] = [];

  constructor(ports: WorkerPorts, options: WorkerOptions = {}) {
    this.#ports = ports;
    this.#options = checkWorkerOptions(options);
    this.#handlerIds = [...ports.handlers.keys()];
    this.#settler = new Settler({
      ...ports,
      claimWith: (wanted, statement) => this.claimWith(wanted, statement),
      onReady: () => {
        this.wake();
        ports.onReady();
      },
    });
    this.#lease = this.#createLease();
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

  /** Registers with the database and begins to claim. */
  async start(): Promise<void> {
    if (this.#mode !== 'idle') return;
    this.#enter('running');
    await this.#lease.register();
    this.#rescuing = this.#rescue();
    this.wake();
  }

  /** Tasks may be due: look now. */
  wake(): void {
    this.#wakes += 1;
    this.#more = true;
    this.#claim();
  }

  /**
   * Executes a statement that makes tasks ready and may claim them for this worker at once, up to `wanted`. Only while
   * the queue has nothing due, as far as this worker knows: what waits there comes first.
   */
  async claimWith(wanted: number, statement: (capacity?: Capacity) => Promise<Outcome>): Promise<Outcome> {
    const { workerId } = this.#lease;
    const slots = Math.min(wanted, this.#free());
    if (this.#mode !== 'running' || this.#more || workerId === NOBODY || slots <= 0) return statement();
    this.#reserved += slots;
    try {
      const outcome = await statement({ workerId, handlerIds: this.#handlerIds, slots });
      await this.#takeOn(workerId, outcome.claims);
      return outcome;
    } finally {
      this.#reserved -= slots;
      this.#claim();
    }
  }

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
    clearTimeout(this.#nextClaim);
    await within(PATIENCE, this.#claiming);
    const drained = await this.#drain(grace * 1000);
    if (!drained) {
      for (const execution of this.#active) execution.giveUp('stopping');
      await this.#drain(PATIENCE);
    }
    await within(PATIENCE, Promise.all([this.#settler.close(), this.#lease.end(), this.#rescuing]));
    // What could not be told to the database is rescued when the lease ends.
    if (this.#held.size === 0) await within(PATIENCE, this.#ports.store.removeWorker(this.#lease.workerId));
    this.#enter('stopped');
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
      tasks: () => [...this.#held].map(({ task }) => task),
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
      },
      onError: this.#ports.onError,
    });
  }

  #claim(): void {
    if (this.#claiming || this.#mode !== 'running' || !this.#more || this.#free() <= 0) return;
    clearTimeout(this.#nextClaim);
    this.#claiming = this.#claimAll().finally(() => {
      this.#claiming = undefined;
      this.#claim();
    });
  }

  #free(): number {
    return this.#options.concurrency - this.#active.size - this.#reserved;
  }

  async #claimAll(): Promise<void> {
    for (let failures = 0; this.#mode === 'running' && this.#more; ) {
      const wanted = this.#free();
      if (wanted <= 0) return;
      const wakes = this.#wakes;
      let { workerId } = this.#lease;
      try {
        if (workerId === NOBODY) workerId = await this.#lease.register();
        const tasks = await this.#ports.store.claimTasks(workerId, this.#handlerIds, wanted);
        failures = 0;
        if (!(await this.#takeOn(workerId, tasks))) continue;
        if (tasks.length === wanted || this.#wakes !== wakes) continue;
        const due = await this.#ports.store.nextDue(this.#handlerIds);
        if (this.#wakes === wakes) this.#sleep(due);
      } catch (error) {
        this.#lease.heed(error, workerId);
        if (failures === 0) this.#ports.onError('Claiming tasks failed; trying again', error);
        await pause(failures);
        failures += 1;
      }
    }
  }

  /** False when the answer came too late: nobody renews the lease of these any more, or none is to begin. */
  async #takeOn(workerId: number, tasks: readonly ClaimedTask[]): Promise<boolean> {
    if (this.#mode === 'running' && workerId === this.#lease.workerId) {
      this.#begin(tasks);
      return true;
    }
    if (tasks.length > 0) await this.#giveBack(tasks);
    return false;
  }

  /** Until the next task is due or the next poll; a timer that is early finds out and sleeps again. */
  #sleep(due: number | null): void {
    this.#more = false;
    const seconds = Math.min(due ?? Number.POSITIVE_INFINITY, this.#options.pollInterval);
    this.#nextClaim = setTimeout(() => this.wake(), Math.ceil(seconds * 1000) + 1);
  }

  #begin(tasks: readonly ClaimedTask[]): void {
    const shared = new Map<string, ClaimedTask>();
    for (const task of tasks) {
      this.#latencies.add(task.waited);
      if (task.deps) shared.set(`${task.runId}:${task.stepIndex}`, task);
    }
    for (const task of tasks) {
      const handler = this.#ports.handlers.get(task.handlerId)!;
      const { input, deps = {} } = shared.get(`${task.runId}:${task.stepIndex}`) ?? task;
      // The tasks of a map share one parsed input: none may alter it under the others.
      if (handler.step.kind === 'map') freezeDeep([input, deps]);
      void this.#execute(
        new Execution(task, handler, (execution, fn) => this.#settler.commit(execution, fn)),
        input,
        deps,
      );
    }
  }

  async #execute(
    execution: Execution,
    input: unknown,
    deps: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    this.#active.add(execution);
    this.#held.add(execution);
    this.#settler.begin(execution);
    const end = await execution.run(input, deps);
    this.#active.delete(execution);
    this.#claim();
    if (end === 'lost' || end === 'committed') this.#settler.forget(execution);
    else if (end === 'stopping') {
      this.#settler.forget(execution);
      await this.#giveBack([execution.task]);
    } else await this.#settler.end(execution, end);
    this.#held.delete(execution);
    if (this.#held.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #giveBack(tasks: readonly ClaimedTask[]): Promise<void> {
    await this.#ports.store.returnTasks(tasks).catch((error) => {
      this.#ports.onError('Could not give tasks back; their lease will end', error);
    });
  }

  /** True when nothing is held any more within that time. */
  #drain(milliseconds: number): Promise<boolean> {
    if (this.#held.size === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), milliseconds);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  async #rescue(): Promise<void> {
    try {
      const { changes, ready } = await this.#ports.store.rescueTasks();
      this.#ports.onChanges(changes);
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
