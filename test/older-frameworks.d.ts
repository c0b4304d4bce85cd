// Older majors, installed under names of their own: what the tests use of them is the same in the newer ones.
declare module 'express4' {
  export { default } from 'express'
}

declare module 'koa2' {
  export { default } from 'koa'
}
