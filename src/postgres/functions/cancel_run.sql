-- Cancels a run that is under way: its queued tasks never start, its handlers are told to abort.
-- Returns the change; nothing when there is no such run or it has ended.
create function pgflow.cancel_run(target uuid, reason text, notify boolean default true) returns setof pgflow.change_row
language plpgsql volatile set search_path = ''
as $$
declare
  _now timestamptz := pgflow.now();
  _seq int;
begin
  perform 1 from pgflow.runs r where r.run_id = target and r.status = 'started' for no key update;
  if not found then return; end if;
  perform pgflow.cancel_steps(array[target], _now);
  update pgflow.runs r set status = 'cancelled', cancelled_at = _now, cancel_reason = reason, seq = r.seq + 1
  where r.run_id = target returning r.seq into _seq;
  return query select c.* from pgflow.changed_rows(array[target], array[_seq - 1]) c;
  if notify then
    perform pgflow.notify_changes(array[target], array[_seq], false);
  end if;
end $$;
