import type { Run, RunStatus } from './run.js';

/** Which runs a list is of; what is left out matches all. */
export interface RunFilter {
  readonly flow?: string;
  readonly status?: RunStatus;
  readonly tag?: string;
  readonly limit: number;
}

/** Runs, newest first. */
export interface RunList {
  readonly runs: readonly Run[];
  /** For the next, older runs; null at the end. */
  readonly cursor: string | null;
}

/** Which runs a list has, newest first, and how far each has come. */
export interface RunPage {
  readonly runs: readonly { readonly runId: string; readonly seq: number }[];
  /** For the next, older runs; null at the end. */
  readonly cursor: string | null;
}
