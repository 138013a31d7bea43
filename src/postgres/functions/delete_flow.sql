-- Deletes at most `batch` runs of a flow, under way or not, and returns their ids; when no run is left, the
-- definition, and returns nothing. Handlers that are at work lose their claims.
create function pgflow.delete_flow(slug text, batch int) returns setof uuid
language plpgsql volatile set search_path = ''
as $$
declare
  _runs uuid[];
begin
  select array_agg(o.run_id) into _runs from (
    select r.run_id from pgflow.runs r where r.flow_slug = slug order by r.run_id limit batch for update
  ) o;
  if _runs is not null then
    return query select d.run_id from pgflow.delete_runs(_runs) d(run_id);
  else
    delete from pgflow.flows f where f.flow_slug = slug;
  end if;
end $$;
