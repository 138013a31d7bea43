import { withDeadline } from '../postgres/deadline.js';
import type { TaskKey, TaskStore, WorkerRegistration } from '../postgres/task-store.js';

export interface LeasePorts {
  readonly store: Pick<TaskStore, 'registerWorker' | 'heartbeat'>;
  readonly registration: WorkerRegistration;
  /** What the worker holds now. */
  tasks(): readonly TaskKey[];
  /** Others take the tasks, so no handler may still be at work. */
  onLost(): void;
  /** These claims count no more: cancelled with their run, or handed to another worker. */
  onLostClaims(claims: readonly TaskKey[]): void;
  /** After each heartbeat, while there is a lease or not. */
  onBeat(): void;
  onError(message: string, error: unknown): void;
}

/** Not registered: what was claimed under the last id, others will rescue. */
export const NOBODY = 0;

/**
 * What lets a worker hold tasks: its registration, renewed by a heartbeat three times in its length.
 *
 * Modes: `none → held → none …`, and `ended` for good. It is lost, and `none` again, when a renewal was not
 * answered by nine tenths of it, or when the database has taken the worker for dead; `register` gets a new one.
 */
export class Lease {
  #mode: 'none' | 'held' | 'ended' = 'none';
  readonly #ports: LeasePorts;
  #workerId = NOBODY;
  #lastBeat = 0;
  #nextBeat: NodeJS.Timeout | undefined;
  #ends: NodeJS.Timeout | undefined;
  #beating: Promise<void> | undefined;

  constructor(ports: LeasePorts) {
    this.#ports = ports;
  }

  get workerId(): number {
    return this.#workerId;
  }

  /** Whether it was renewed in time. */
  get isHeld(): boolean {
    return (
      this.#mode === 'held' && performance.now() - this.#lastBeat < this.#ports.registration.lease * 1000
    );
  }

  /** Registers the worker anew; resolves to its id. The first time heartbeats begin. */
  async register(): Promise<number> {
    const sent = performance.now();
    this.#workerId = await this.#ports.store.registerWorker(this.#ports.registration);
    this.#enter('held', sent);
    if (!this.#nextBeat) this.#scheduleBeat();
    return this.#workerId;
  }

  /** Loses the lease if the error says that the database knows no such worker any more. */
  heed(error: unknown, workerId: number): void {
    // An answer to an earlier registration says nothing of the one now.
    if ((error as { code?: string }).code === 'PF007' && workerId === this.#workerId) this.#enter('none');
  }

  /** Ends the heartbeats; resolves when the last one is done. The lease runs out by itself. */
  async end(): Promise<void> {
    this.#enter('ended');
    await this.#beating;
  }

  #enter(mode: 'none' | 'held' | 'ended', sent = 0): void {
    if (this.#mode === 'ended') return;
    this.#mode = mode;
    clearTimeout(this.#ends);
    if (mode === 'held') {
      this.#lastBeat = sent;
      // Handlers end before others may take their tasks, whether a heartbeat fails, hangs or is never sent.
      const left = sent + this.#ports.registration.lease * 900 - performance.now();
      this.#ends = setTimeout(() => this.#enter('none'), Math.max(0, left));
    } else if (mode === 'none') {
      this.#workerId = NOBODY;
      this.#ports.onLost();
    } else {
      clearTimeout(this.#nextBeat);
    }
  }

  #scheduleBeat(): void {
    this.#nextBeat = setTimeout(
      () => {
        this.#beating = this.#beat().finally(() => {
          if (this.#mode !== 'ended') this.#scheduleBeat();
        });
      },
      (this.#ports.registration.lease * 1000) / 3,
    );
  }

  async #beat(): Promise<void> {
    const workerId = this.#workerId;
    try {
      if (workerId !== NOBODY) await this.#renew(workerId);
      this.#ports.onBeat();
    } catch (error) {
      this.heed(error, workerId);
      this.#ports.onError('The heartbeat failed', error);
    }
  }

  async #renew(workerId: number): Promise<void> {
    const { lease } = this.#ports.registration;
    const sent = performance.now();
    const lost = await withDeadline(lease, this.#ports.store.heartbeat(workerId, lease, this.#ports.tasks()));
    if (workerId === this.#workerId) this.#enter('held', sent);
    if (lost.length > 0) this.#ports.onLostClaims(lost);
  }
}
