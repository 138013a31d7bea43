-- What is new since those seqs, read in one statement; since 0 is the whole run.
create function pgflow.read_changes(run_ids uuid[], sinces int[]) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
begin
  return query select c.* from pgflow.changed_rows(run_ids, sinces) c;
end $$;
