/** One thing that the doctor looked at. */
export interface Finding {
  /** What was looked at, such as `indexes` or `listen`. */
  readonly check: string;
  /** `warning`: it works, but not as well or as long as it should. `error`: it does not. */
  readonly level: 'ok' | 'warning' | 'error';
  readonly message: string;
  /** What to do; null when nothing. */
  readonly fix: string | null;
}

export function fine(check: string, message: string): Finding {
  return { check, level: 'ok', message, fix: null };
}

export function warning(check: string, message: string, fix: string): Finding {
  return { check, level: 'warning', message, fix };
}

export function failure(check: string, message: string, fix: string): Finding {
  return { check, level: 'error', message, fix };
}
