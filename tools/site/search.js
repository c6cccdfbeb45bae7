// Shows the headings whose text has every word that was typed; those that have them in the heading come first.
(function () {
  var field = document.getElementById("search");
  var found = document.getElementById("found");
  var menu = document.getElementById("menu");
  var root = document.body.getAttribute("data-root");

  // On a wide screen the list of pages is always there.
  var wide = window.matchMedia("(min-width: 60em)");
  function unfold() { menu.open = wide.matches; }
  wide.addEventListener("change", unfold);
  unfold();

  function rank(entry, words) {
    var heading = (entry[0] + " " + entry[1]).toLowerCase();
    var all = heading + " " + entry[3].toLowerCase();
    var points = 0;
    for (var i = 0; i < words.length; i++) {
      if (all.indexOf(words[i]) < 0) { return 0; }
      points += entry[1].toLowerCase().indexOf(words[i]) >= 0 ? 100 : heading.indexOf(words[i]) >= 0 ? 10 : 1;
    }
    return points;
  }

  function show(entry) {
    var item = document.createElement("li");
    var link = document.createElement("a");
    link.href = root + entry[2];
    link.textContent = entry[1];
    var where = document.createElement("small");
    where.textContent = entry[0];
    item.appendChild(link);
    item.appendChild(where);
    found.appendChild(item);
  }

  function search() {
    var words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    found.textContent = "";
    var hits = [];
    if (words.length > 0) {
      pages.forEach(function (entry) {
        var points = rank(entry, words);
        if (points > 0) { hits.push([points, entry]); }
      });
    }
    hits.sort(function (a, b) { return b[0] - a[0]; });
    hits.slice(0, 20).forEach(function (hit) { show(hit[1]); });
    if (words.length > 0 && hits.length === 0) {
      var none = document.createElement("li");
      none.textContent = "Nothing has all of these words.";
      found.appendChild(none);
    }
    found.hidden = words.length === 0;
  }

  field.addEventListener("input", search);
  field.form.addEventListener("submit", function (event) {
    event.preventDefault();
    var first = found.querySelector("a");
    if (first) { location.href = first.href; }
  });
})();
