/** A module of dist that no entry exports: what is measured is what is published. `path` is that of the source. */
export async function importBuilt<Module>(path: string): Promise<Module> {
  return import(new URL(`../../dist/${path}`, import.meta.url).href) as Promise<Module>;
}
