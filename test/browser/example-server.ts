import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Child, startChild } from '../harness/child.js';
import { createTestDatabase, type DatabaseKind } from '../harness/databases.js';

/** Milliseconds that a server may need to be ready where the machine is busy; a fresh PGlite is the slowest. */
export const STARTING = 120_000;

/** A folder of `examples`. */
type Example = 'process-order' | 'live-view';

/** An example as a process of its own, on data of its own. */
export interface ExampleServer extends AsyncDisposable {
  readonly url: string;
  /** The process that runs now. */
  readonly child: Child;
  /** Kills it without a chance to tidy up. */
  kill(): Promise<void>;
  /** Starts it again after `kill`, on the same port and data. */
  startAgain(): Promise<void>;
  /** Kills it and deletes its data. */
  close(): Promise<void>;
}

/** Starts an example on an empty database and waits until it says that it is ready. */
export async function startExample(
  kind: DatabaseKind,
  example: Example = 'process-order',
): Promise<ExampleServer> {
  const folder = mkdtempSync(join(tmpdir(), 'pgflow-example-'));
  const database = kind === 'postgres' ? await createTestDatabase('postgres') : undefined;
  const env = { DATABASE_URL: database?.url ?? '', NODE_ENV: undefined };
  let child = startProgram(folder, { ...env, PORT: '0' }, example);
  const close = async () => {
    await child.close();
    await database?.close();
    rmSync(folder, { recursive: true });
  };
  try {
    const url = await readyUrl(child);
    return {
      url,
      get child() {
        return child;
      },
      kill: () => child.close(),
      async startAgain() {
        child = startProgram(folder, { ...env, PORT: new URL(url).port }, example);
        await readyUrl(child);
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Starts the program in a folder: that is where `.pgflow/` will be. */
export function startProgram(
  folder: string,
  env: Record<string, string | undefined>,
  example: Example = 'process-order',
): Child {
  return startChild('test/browser/fixtures/start-in.ts', { args: [folder, example], env });
}

export async function readyUrl(child: Child): Promise<string> {
  return (await child.waitForLine(/^Ready: (http\S+)/))[1]!;
}
