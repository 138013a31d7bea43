import pg from 'pg';
import { now } from './clock.js';

type Query = (...args: any[]) => any;

/** Notes when the answers to this process's statements came that contain `part`: how many, and the last one's time. */
export function watchStatements(part: string): { count: number; answeredAt: number } {
  const seen = { count: 0, answeredAt: 0 };
  const original = pg.Client.prototype.query as Query;
  const note = () => {
    seen.count++;
    seen.answeredAt = now();
  };
  pg.Client.prototype.query = function query(this: pg.Client, ...args: any[]) {
    const text = typeof args[0] === 'string' ? args[0] : args[0]?.text;
    if (typeof text !== 'string' || !text.includes(part)) return original.apply(this, args);
    const callback = args.findIndex((arg) => typeof arg === 'function');
    if (callback >= 0) {
      const told = args[callback] as Query;
      args[callback] = (...answer: unknown[]) => {
        note();
        return told(...answer);
      };
      return original.apply(this, args);
    }
    return (original.apply(this, args) as Promise<unknown>).finally(note);
  } as never;
  return seen;
}
