"""From graph and machine to program: fuse, allocate, place, route, lower. One pass, one file."""
