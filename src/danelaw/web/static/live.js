"use strict";
// Shows the lines of a check as they come, and the result when it is over. Without it the page refreshes itself.
(() => {
  const list = document.getElementById("lines");
  if (!list) return;
  const source = new EventSource(list.dataset.events);
  source.onopen = () => list.replaceChildren();
  source.onmessage = (event) => {
    const item = document.createElement("li");
    item.textContent = event.data;
    list.append(item);
    if (list.children.length > 100) list.firstElementChild.remove();
  };
  source.addEventListener("done", () => {
    source.close();
    location.reload();
  });
  source.onerror = () => {
    source.close();
    setTimeout(() => location.reload(), 3000);
  };
})();
