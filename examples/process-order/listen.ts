import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CannotStart } from './cannot-start.js';

const HOST = '127.0.0.1';
const DEFAULT_PORT = 4000;
const MOST_TRIES = 20;

export interface WantedPort {
  readonly first: number;
  /** The same as `first` where somebody asked for that one: then it is that one or none. */
  readonly last: number;
}

/** @param given what PORT is set to; 0 means any that is free. */
export function readPort(given: string | undefined): WantedPort {
  if (!given) return { first: DEFAULT_PORT, last: DEFAULT_PORT + MOST_TRIES };
  const port = Number(given);
  if (/^\d+$/.test(given) && port < 65_536) return { first: port, last: port };
  throw new CannotStart(`PORT has to be a number from 0 to 65535, not "${given}".`);
}

/** Listens on the first port that is free, and resolves to the URL. */
export async function listen(server: Server, { first, last }: WantedPort): Promise<string> {
  for (let port = first; port <= last; port++) {
    if (await isOurs(server, port)) return `http://${HOST}:${(server.address() as AddressInfo).port}`;
    if (port < last) console.log(`  Port ${port} is taken, trying ${port + 1}`);
  }
  const taken = first === last ? `Port ${last} is` : `The ports ${first} to ${last} are`;
  throw new CannotStart(`${taken} taken. Choose another one in the environment variable PORT; 0 takes any.`);
}

async function isOurs(server: Server, port: number): Promise<boolean> {
  server.listen(port, HOST);
  try {
    await once(server, 'listening');
    return true;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') return false;
    throw new CannotStart(`Cannot listen on port ${port}: ${message}`);
  }
}
