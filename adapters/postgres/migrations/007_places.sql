-- For the search of what is near a place: points in space, by an index.
create extension if not exists cube with schema public;
