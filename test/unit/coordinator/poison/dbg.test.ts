import { it } from 'vitest';
it('dbg',()=>{});
