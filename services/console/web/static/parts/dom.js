/** The library, bound: `html` makes elements from templates, as text alone; nothing here ever parses HTML. */
import htm from "../vendor/htm.mjs";
import { Component, h, render } from "../vendor/preact.mjs";

export { Component, render };
export const html = htm.bind(h);

/** Whether two objects differ in a value (compared by identity). */
function differ(one, other) {
  return Object.keys({ ...one, ...other }).some((key) => one[key] !== other[key]);
}

/** A component that is drawn again only when a property or its state is another one. */
export class Pure extends Component {
  shouldComponentUpdate(props, state) {
    return differ(this.props, props) || differ(this.state, state);
  }
}

/** `compute`, remembering the last answer for as long as the arguments are the same. */
export function remembered(compute) {
  let before = null;
  let answer;
  return (...values) => {
    if (before === null || values.some((value, at) => value !== before[at])) {
      answer = compute(...values);
      before = values;
    }
    return answer;
  };
}
