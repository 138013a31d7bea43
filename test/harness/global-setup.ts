import { randomBytes } from 'node:crypto';
import type { TestProject } from 'vitest/node';
import { type PostgresServer, startPostgres } from './postgres-server.js';
import { dropTestDatabases } from './test-database.js';

/** Projects load this module once each; the server is one for all of them. */
const shared = globalThis as { pgflowTestServer?: { users: number; server: Promise<PostgresServer> } };

/** Gives the tests a PostgreSQL: the one of DATABASE_URL, else a throw-away server. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const prefix = `pgflow_test_${randomBytes(4).toString('hex')}_`;
  project.provide('databasePrefix', prefix);
  const given = process.env.DATABASE_URL;
  if (given) {
    project.provide('postgresUrl', given);
    return () => dropTestDatabases(given, prefix);
  }
  shared.pgflowTestServer ??= { users: 0, server: startPostgres() };
  shared.pgflowTestServer.users += 1;
  const server = await shared.pgflowTestServer.server;
  project.provide('postgresUrl', server.url());
  return async () => {
    if (--shared.pgflowTestServer!.users === 0) await server.remove();
  };
}
