/** Seconds that tasks were due before a worker claimed them. */
export interface ClaimLatency {
  readonly p50: number;
  readonly p99: number;
}

const KEPT = 1_000;

/** How long the last 1,000 claimed tasks of this process had waited. */
export class ClaimLatencies {
  readonly #waits = new Float64Array(KEPT);
  #added = 0;

  add(seconds: number): void {
    this.#waits[this.#added % KEPT] = seconds;
    this.#added += 1;
  }

  /** Null before the first claim. */
  read(): ClaimLatency | null {
    if (this.#added === 0) return null;
    const sorted = this.#waits.slice(0, Math.min(this.#added, KEPT)).sort();
    const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1]!;
    return { p50: at(0.5), p99: at(0.99) };
  }
}
