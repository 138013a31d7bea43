import { setImmediate } from 'node:timers/promises';
import { PgFlowError } from '../errors.js';
import type { ClaimedTask, Outcome } from '../postgres/change-rows.js';
import { pause } from '../postgres/pause.js';
import type { Capacity, TaskKey, TaskStore } from '../postgres/task-store.js';
import type { Telemetry } from '../telemetry/telemetry.js';
import { type Lease, NOBODY } from './lease.js';
import type { SharedInputs } from './shared-inputs.js';

export interface ClaimerPorts {
  readonly store: Pick<TaskStore, 'claimTasks' | 'nextDue' | 'returnTasks' | 'returnUnheld'>;
  readonly lease: Lease;
  readonly handlerIds: readonly number[];
  /** Seconds. */
  readonly pollInterval: number;
  /** How many tasks could begin now. */
  free(): number;
  begin(tasks: readonly ClaimedTask[]): void;
  /** The inputs that the worker has. */
  readonly inputs: Pick<SharedInputs, 'holdKnown' | 'release'>;
  /** What the worker has begun and not settled. */
  held(): readonly TaskKey[];
  readonly telemetry: Telemetry;
  onError(message: string, error: unknown): void;
}

/** Of the free slots, for what follows while others wait. */
const SHARE_OF_FOLLOWING = 0.9;
/** As many tasks begin before those who started them go on. */
const AT_ONCE = 4;
/** How long the database may go on with a statement whose answer nobody waits for any more. */
const UNHEARD = 120_000;

type Mode = 'idle' | 'claiming' | 'asleep' | 'ended';

/**
 * Gets the worker its tasks: from the queue, or with the settle or the start that makes them ready.
 *
 * Modes: `idle → claiming ⇄ asleep → ended`. `claiming`: the queue may hold something due; it claims as slots get
 * free. `asleep`: it holds nothing, as far as we know; it wakes up when it is told so, when the next delayed task is
 * due, and every `pollInterval`.
 */
export class Claimer {
  #mode: Mode = 'idle';
  readonly #ports: ClaimerPorts;
  #wakes = 0;
  /** Whether the last claim left nothing that was due. */
  #isDrained = false;
  #loop: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Slots promised to statements that may claim. */
  #reserved = 0;
  /** Statements under way that may claim. */
  readonly #underWay = new Set<Promise<unknown>>();
  /** Until when a claim may turn up whose answer was lost. */
  #unheardUntil = 0;
  #returning: Promise<void> | undefined;

  constructor(ports: ClaimerPorts) {
    this.#ports = ports;
  }

  /** Tasks may be due: looks now, or as soon as slots are free. */
  wake(): void {
    if (this.#mode === 'ended') return;
    this.#wakes += 1;
    this.#enter('claiming');
  }

  /** Slots got free. */
  proceed(): void {
    if (this.#mode === 'claiming') this.#enter('claiming');
  }

  /** Claims no more; resolves when no claim is under way. */
  async end(): Promise<void> {
    this.#enter('ended');
    await Promise.allSettled([this.#loop, ...this.#underWay]);
  }

  /**
   * Executes a statement that makes tasks ready and may claim them for this worker at once, up to `wanted`. While
   * others wait in the queue, what is `new` waits behind them; what `follows` on what this worker did has most of the
   * free slots, since it costs least at once, and the queue the rest, at least one.
   */
  async claimWith(
    wanted: number,
    what: 'new' | 'follows',
    statement: (capacity?: Capacity) => Promise<Outcome>,
  ): Promise<Outcome> {
    const { workerId } = this.#ports.lease;
    const free = this.#free();
    const share = this.#isDrained ? free : what === 'follows' ? Math.floor(free * SHARE_OF_FOLLOWING) : 0;
    const slots = Math.min(wanted, share);
    const mayClaim = this.#mode !== 'ended' && !this.#returning && workerId !== NOBODY;
    if (!mayClaim || slots <= 0) return statement();
    this.#reserved += slots;
    const { handlerIds, telemetry } = this.#ports;
    const answer = telemetry.claim(
      { workerId, wanted: slots, from: 'ready' },
      async () => this.#listen(statement({ workerId, handlerIds, slots })),
      ({ claims }) => claims.length,
    );
    this.#hold(this.#takeOnFrom(answer, workerId, what), slots);
    return answer;
  }

  /** Those who wait for many starts go on first: they may ask for the next ones while the tasks of these are executed. */
  async #takeOnFrom(answer: Promise<Outcome>, workerId: number, what: 'new' | 'follows'): Promise<void> {
    const claims = await answer.then(
      (outcome) => outcome.claims,
      () => [], // whoever made the statement is told
    );
    if (what === 'new' && claims.length > AT_ONCE) await setImmediate();
    await this.#takeOn(workerId, claims);
  }

  /** Until its tasks are taken on its slots are promised, and it is under way. */
  #hold(claiming: Promise<void>, slots: number): void {
    const held = claiming
      .catch((error) => this.#ports.onError('Could not begin tasks that were claimed', error))
      .finally(() => {
        this.#underWay.delete(held);
        this.#reserved -= slots;
        this.proceed();
      });
    this.#underWay.add(held);
  }

  /** Gives back what was claimed for us in answers that were lost. For each heartbeat. */
  returnUnheard(): void {
    if (performance.now() > this.#unheardUntil || this.#mode === 'ended') return;
    this.#returning ??= this.#returnUnheld().finally(() => {
      this.#returning = undefined;
      this.proceed();
    });
  }

  #enter(mode: Mode): void {
    if (this.#mode === 'ended') return;
    this.#mode = mode;
    clearTimeout(this.#timer);
    if (mode !== 'claiming' || this.#loop || this.#returning || this.#free() <= 0) return;
    this.#loop = this.#claimAll().finally(() => {
      this.#loop = undefined;
      this.proceed();
    });
  }

  #free(): number {
    return this.#ports.free() - this.#reserved;
  }

  async #claimAll(): Promise<void> {
    const { store, lease, handlerIds, onError } = this.#ports;
    for (let failures = 0; this.#mode === 'claiming' && !this.#returning; ) {
      const wanted = this.#free();
      if (wanted <= 0) return;
      const wakes = this.#wakes;
      let { workerId } = lease;
      try {
        if (workerId === NOBODY) workerId = await lease.register();
        const isBegun = await this.#claimDue(workerId, wanted);
        failures = 0;
        if (!isBegun) continue;
        if (!this.#isDrained || this.#wakes !== wakes) continue;
        const due = await store.nextDue(handlerIds);
        if (this.#wakes === wakes) this.#sleep(due);
      } catch (error) {
        lease.heed(error, workerId);
        if (failures === 0) onError('Claiming tasks failed; trying again', error);
        await pause(failures);
        failures += 1;
      }
    }
  }

  /** Claims what is due, and begins it; false when the answer came too late for that. */
  async #claimDue(workerId: number, wanted: number): Promise<boolean> {
    const { store, handlerIds, inputs, telemetry } = this.#ports;
    const known = inputs.holdKnown();
    try {
      const tasks = await telemetry.claim(
        { workerId, wanted, from: 'queue' },
        () => this.#listen(store.claimTasks(workerId, handlerIds, wanted, known)),
        ({ length }) => length,
      );
      this.#isDrained = tasks.length < wanted;
      return await this.#takeOn(workerId, tasks);
    } finally {
      for (const step of known) inputs.release(step);
    }
  }

  /** Until the next task is due or the next poll; a timer that is early finds out and sleeps again. */
  #sleep(due: number | null): void {
    this.#enter('asleep');
    if (this.#mode !== 'asleep') return;
    const seconds = Math.min(due ?? Number.POSITIVE_INFINITY, this.#ports.pollInterval);
    this.#timer = setTimeout(() => this.wake(), Math.ceil(seconds * 1000) + 1);
  }

  /** Notes when the answer to a statement that may have claimed is lost. */
  async #listen<T>(statement: Promise<T>): Promise<T> {
    this.#underWay.add(statement);
    try {
      return await statement;
    } catch (error) {
      if (error instanceof PgFlowError && error.code === 'DATABASE_UNAVAILABLE') {
        this.#unheardUntil = performance.now() + UNHEARD;
      }
      throw error;
    } finally {
      this.#underWay.delete(statement);
    }
  }

  /** False when the answer came too late: nobody renews the lease of these any more, or none is to begin. */
  async #takeOn(workerId: number, tasks: readonly ClaimedTask[]): Promise<boolean> {
    const { lease, store, begin, onError } = this.#ports;
    if (this.#mode !== 'ended' && workerId === lease.workerId) {
      begin(tasks);
      return true;
    }
    if (tasks.length > 0) {
      await store.returnTasks(tasks).catch((error) => {
        onError('Could not give tasks back; their lease will end', error);
      });
    }
    return false;
  }

  /** While nothing is under way that may claim, all that this worker has in the database and not in hand is unheard. */
  async #returnUnheld(): Promise<void> {
    const { lease, store, held, onError } = this.#ports;
    await Promise.allSettled([this.#loop, ...this.#underWay]);
    try {
      const returned = await store.returnUnheld(lease.workerId, held());
      if (returned > 0) this.wake();
    } catch (error) {
      onError(
        'Giving back tasks whose claim was not heard failed; trying again with the next heartbeat',
        error,
      );
    }
  }
}
