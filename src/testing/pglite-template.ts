import { PGlite } from '@electric-sql/pglite';
import { openPglite } from '../postgres/drivers/pglite.js';
import { migrate } from '../postgres/migrate.js';

/** Data directories with the schema in them, by its name. */
const templates = new Map<string, Promise<Blob>>();

/** A PGlite in memory, with the schema. The first of a process takes seconds, each further one a part of one. */
export async function createTestPglite(schema: string): Promise<PGlite> {
  let template = templates.get(schema);
  if (!template) {
    template = makeTemplate(schema);
    templates.set(schema, template);
    template.catch(() => templates.delete(schema));
  }
  return PGlite.create({ loadDataDir: await template });
}

async function makeTemplate(schema: string): Promise<Blob> {
  const fresh = await PGlite.create();
  try {
    await migrate(await openPglite(fresh), schema);
    return await fresh.dumpDataDir('none');
  } finally {
    await fresh.close();
  }
}
