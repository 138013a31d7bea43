import { printFigures, readAssignment } from './assignment.js';
import type { OpenDriver } from './driver.js';
import { procedures } from './procedures.js';

/** The whole program of a measured process: reads its assignment, carries it out, prints the figures, ends. */
export async function perform(open: OpenDriver): Promise<void> {
  const assignment = readAssignment();
  const procedure = procedures[assignment.work];
  if (!procedure) throw new Error(`Nobody knows how to measure ${assignment.work}.`);
  printFigures(await procedure(open, assignment));
  // What a peer leaves open does not keep the process.
  process.exit();
}
