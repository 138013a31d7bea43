import { pause } from './fixtures/commands.js';
import type { Stage } from './stage.js';
import type { StormProcess } from './storm-process.js';

/** Something that goes wrong, and is mended after a while. */
export interface StormFault {
  readonly name: string;
  /** How often it comes, against the others. */
  readonly weight: number;
  /** Whom it befalls; several faults at once never befall the same. */
  readonly of: 'worker' | 'web' | 'process' | 'server' | 'redis' | 'readers' | 'nobody';
  /** Which of the processes it takes too, when it befalls the server. */
  readonly and?: 'worker' | 'process';
  strike(strike: Strike): Promise<void>;
}

export interface Strike {
  readonly stage: Stage;
  readonly random: () => number;
  /** Of faults that befall one. */
  readonly process: StormProcess;
}

/** Milliseconds between `from` and `to`. */
export const wait = ({ random }: Strike, from: number, to: number) => pause(from + random() * (to - from));
export const pick = <T>(random: () => number, list: readonly T[]): T =>
  list[Math.floor(random() * list.length)]!;
