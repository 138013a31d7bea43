import type { TestDatabase } from '../harness/test-database.js';

const ROLE = 'storm';

/**
 * Gives the database to a role that is no superuser, as applications have it: so they can run out of connections
 * while the conductor keeps those that are reserved for superusers. Returns its URL for that role.
 */
export async function giveToRole(db: TestDatabase): Promise<string> {
  const url = new URL(db.url!);
  await db.query(`create role ${ROLE} login password '${ROLE}'`);
  await db.query(`alter database "${url.pathname.slice(1)}" owner to ${ROLE}`);
  url.username = ROLE;
  url.password = ROLE;
  return url.href;
}

/** What the superuser has made there, the role may use. */
export async function grantToRole(db: TestDatabase, schemas: readonly string[]): Promise<void> {
  for (const schema of schemas) {
    await db.query(`grant usage on schema ${schema} to ${ROLE}`);
    await db.query(`grant all on all tables in schema ${schema} to ${ROLE}`);
  }
}
