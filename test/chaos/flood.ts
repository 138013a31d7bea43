import pg from 'pg';
import { pause, timeUp } from './fixtures/commands.js';

const TOO_MANY_CONNECTIONS = '53300';
/** Milliseconds. */
const CONNECT_TIMEOUT = 5_000;
const GOODBYE_TIMEOUT = 2_000;

/** Connections that somebody else takes from a server and does nothing with. */
export class Flood {
  readonly #url: string;
  readonly #taken: pg.Client[] = [];

  constructor(url: string) {
    this.#url = url;
  }

  /** Takes all that are left, and goes on taking what gets free for so many milliseconds. */
  async rise(milliseconds = 0): Promise<void> {
    let isFull = false;
    let end = Number.POSITIVE_INFINITY;
    while (performance.now() < end) {
      const isRefused = !(await this.#take());
      if (isRefused && !isFull) end = performance.now() + milliseconds;
      isFull ||= isRefused;
      if (isRefused) await pause(10);
    }
  }

  /** Gives back so many of them, or all. */
  async ebb(count = this.#taken.length): Promise<void> {
    const left = this.#taken.splice(0, count).map((client) => client.end().catch(() => {}));
    await Promise.race([Promise.all(left), timeUp(GOODBYE_TIMEOUT)]);
  }

  /** False when the server has no more. */
  async #take(): Promise<boolean> {
    const client = new pg.Client({
      connectionString: this.#url,
      application_name: 'flood',
      connectionTimeoutMillis: CONNECT_TIMEOUT,
    });
    client.on('error', () => {});
    try {
      await client.connect();
    } catch (error) {
      if ((error as { code?: string }).code === TOO_MANY_CONNECTIONS) return false;
      throw error;
    }
    this.#taken.push(client);
    return true;
  }
}
