import { pause, timeUp } from './fixtures/commands.js';
import type { Stage } from './stage.js';
import type { StormFault } from './storm-fault.js';
import { STORM_FAULTS } from './storm-faults.js';
import type { StormProcess } from './storm-process.js';

/** Faults at once at most. */
const MOST_AT_ONCE = 4;
/** Milliseconds between two faults at most. */
const LONGEST_PAUSE = 500;
/** Milliseconds that it may take until the last faults are mended; a process that does not stop has 90 s. */
const LONGEST_MENDING = 150_000;

/** Injects faults by chance, as the seed decides, and counts them. */
export class FaultSchedule {
  readonly counts = new Map<string, number>();
  readonly #stage: Stage;
  readonly #random: () => number;
  readonly #faults: readonly StormFault[];
  /** With what they befall. */
  readonly #under = new Map<Promise<void>, { readonly name: string; readonly process: StormProcess }>();
  /** The server, and all readers, have one fault at a time. */
  readonly #taken = new Set<StormFault['of']>();

  /** @param wanted beginnings of the names of faults; empty: all. */
  constructor(stage: Stage, random: () => number, wanted: readonly string[] = []) {
    this.#stage = stage;
    this.#random = random;
    this.#faults = STORM_FAULTS.filter(
      ({ name, of }) =>
        (of !== 'redis' || stage.redis !== null) &&
        (wanted.length === 0 || wanted.some((start) => name.startsWith(start))),
    );
    if (this.#faults.length === 0) throw new Error(`There are no faults like ${wanted.join(', ')}.`);
  }

  /** Until the time is over, or `goOn` says no. Resolves when all is mended. */
  async run(milliseconds: number, goOn: () => boolean): Promise<void> {
    const end = Date.now() + milliseconds;
    while (Date.now() < end && goOn()) {
      if (this.#under.size < MOST_AT_ONCE) this.#strike(this.#draw());
      await pause(50 + this.#random() * LONGEST_PAUSE);
    }
    const late = timeUp(LONGEST_MENDING).then(() => {
      const left = [...this.#under.values()].map(({ name, process }) => `"${name}" of ${process.state}`);
      throw new Error(
        `${LONGEST_MENDING / 1000} s after the storm these faults are not mended: ${left.join(', ')}`,
      );
    });
    late.catch(() => {});
    while (this.#under.size > 0) await Promise.race([Promise.all(this.#under.keys()), late]);
  }

  /** One that has not been yet, or any. */
  #draw(): StormFault {
    const fresh = this.#faults.filter(({ name }) => !this.counts.has(name));
    if (fresh.length > 0 && this.#random() < 0.5) return fresh[Math.floor(this.#random() * fresh.length)]!;
    let at = this.#random() * this.#faults.reduce((sum, { weight }) => sum + weight, 0);
    for (const fault of this.#faults) {
      at -= fault.weight;
      if (at < 0) return fault;
    }
    return this.#faults[0]!;
  }

  #strike(fault: StormFault): void {
    const process = this.#chooseProcess(fault);
    if (process === undefined || this.#taken.has(fault.of)) return;
    process.busy = true;
    if (!isOfProcess(fault.of)) this.#taken.add(fault.of);
    this.counts.set(fault.name, (this.counts.get(fault.name) ?? 0) + 1);
    const done = fault
      .strike({ stage: this.#stage, random: this.#random, process })
      .catch((error) => {
        // The server is away, so what was to be done with it cannot be.
        if (fault.of !== 'server' && fault.of !== 'nobody') {
          this.#stage.ledger.wrong.push(`The fault "${fault.name}" failed: ${error.stack}`);
        }
      })
      .finally(() => {
        this.#under.delete(done);
        this.#taken.delete(fault.of);
        process.busy = false;
      });
    this.#under.set(done, { name: fault.name, process });
  }

  /** One that no other fault has. */
  #chooseProcess(fault: StormFault): StormProcess | undefined {
    const of = fault.and ?? fault.of;
    const { webs, workers } = this.#stage;
    if (!isOfProcess(of)) return NOBODY;
    const all = of === 'web' ? webs : of === 'worker' ? workers : [...webs, ...workers];
    const free = all.filter((process) => process.isReady && !process.busy);
    return free[Math.floor(this.#random() * free.length)];
  }
}

const isOfProcess = (of: StormFault['of']) => of === 'worker' || of === 'web' || of === 'process';

const NOBODY = { busy: false, state: 'nobody' } as StormProcess;
