/**
 * Makes an element's content what the markup says, and leaves alone what is so already: focus, what was typed, what was
 * unfolded and animations stay.
 */
export function patch(element, markup) {
  const wanted = document.createElement('template');
  wanted.innerHTML = markup;
  patchChildren(element, wanted.content);
}

function patchChildren(element, wanted) {
  const [now, next] = [[...element.childNodes], [...wanted.childNodes]];
  next.forEach((node, index) => {
    const before = now[index];
    if (!before) element.append(node);
    else if (isSameKind(before, node)) patchNode(before, node);
    else before.replaceWith(node);
  });
  for (const node of now.slice(next.length)) node.remove();
}

/** An element with another id or key is another one. */
function isSameKind(before, node) {
  return (
    before.nodeName === node.nodeName && before.id === node.id && before.dataset?.key === node.dataset?.key
  );
}

function patchNode(before, node) {
  if (!(before instanceof Element)) {
    if (before.data !== node.data) before.data = node.data;
    return;
  }
  if (before.isEqualNode(node)) return;
  patchAttributes(before, node);
  patchChildren(before, node);
}

function patchAttributes(before, node) {
  for (const { name, value } of node.attributes) {
    if (before.getAttribute(name) !== value) before.setAttribute(name, value);
  }
  for (const { name } of [...before.attributes]) {
    // Whether it is unfolded is the visitor's business.
    const isTheirs = name === 'open' && before instanceof HTMLDetailsElement;
    if (!isTheirs && !node.hasAttribute(name)) before.removeAttribute(name);
  }
}
